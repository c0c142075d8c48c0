/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "options.h"
#include "console.h"

#define BIT(n) (1UL << (n))
#define USABLE \
    (BIT(EFI_LOADER_CODE) | BIT(EFI_LOADER_DATA) | BIT(EFI_BOOT_SERVICES_CODE) | BIT(EFI_BOOT_SERVICES_DATA) | \
     BIT(EFI_CONVENTIONAL))
#define ALL_OF_IT (1UL << 40) /* MiB */

/* Give the place behind `prefix`, NULL when the text does not begin with it. */
static const u16 *after(const u16 *text, const u16 *end, const char *prefix)
{
    for (; *prefix; prefix++, text++)
        if (text == end || *text != (u8)*prefix)
            return NULL;
    return text;
}

static bool is(const u16 *text, const u16 *end, const char *word)
{
    return after(text, end, word) == end;
}

static bool number(const u16 *text, const u16 *end, u64 most, u64 *value)
{
    u64 result = 0;

    if (text == end)
        return false;
    for (; text < end; text++) {
        if (*text < '0' || *text > '9')
            return false;
        result = result * 10 + (*text - '0');
        if (result > most)
            return false;
    }
    *value = result;
    return true;
}

static bool wrong(const u16 *text, const u16 *end, u64 *value)
{
    static const char *const words[] = {"",        "twice",    "short",   "beyond",
                                        "unasked", "trespass", "rescind", "share"};

    for (u64 n = 1; n < sizeof(words) / sizeof(*words); n++)
        if (is(text, end, words[n])) {
            *value = n;
            return true;
        }
    return false;
}

static bool parse(struct options *options, const u16 *word, const u16 *end)
{
    const u16 *value;

    if ((value = after(word, end, "allow=")))
        return number(value, end, 2, &options->allow);
    if ((value = after(word, end, "allow-when="))) {
        options->late = is(value, end, "after-map");
        return options->late || is(value, end, "before-map");
    }
    if (is(word, end, "lookup-only")) {
        options->lookup = 1;
        return true;
    }
    if ((value = after(word, end, "ebs=")))
        return number(value, end, MOST_EXITS, &options->exits);
    if ((value = after(word, end, "stale=")))
        return number(value, end, MOST_EXITS, &options->stale);
    if ((value = after(word, end, "retry="))) {
        options->fresh = is(value, end, "fresh-buffer");
        return options->fresh || is(value, end, "same-buffer");
    }
    if (is(word, end, "full-pool")) {
        options->full = 1;
        return true;
    }
    if ((value = after(word, end, "accept="))) {
        options->accept_mib = ALL_OF_IT;
        return is(value, end, "all") || number(value, end, ALL_OF_IT, &options->accept_mib);
    }
    if ((value = after(word, end, "own=")))
        return number(value, end, 1UL << 20, &options->own);
    if ((value = after(word, end, "wrong=")))
        return wrong(value, end, &options->wrong);
    if ((value = after(word, end, "touch="))) {
        u64 type = 0;

        if (is(value, end, "usable"))
            options->touch |= USABLE;
        else if (is(value, end, "unaccepted"))
            options->touch |= BIT(EFI_UNACCEPTED);
        else if (is(value, end, "all"))
            options->touch |= USABLE | BIT(EFI_UNACCEPTED);
        else if (number(value, end, 15, &type))
            options->touch |= BIT(type);
        else
            return false;
        return true;
    }
    if ((value = after(word, end, "step=")))
        return number(value, end, 1UL << 30, &options->step) && options->step > 0;
    return false;
}

void parse_options(struct options *options, const u16 *text, u64 length)
{
    const u16 *end = text + length;
    const char *comma = "";

    *options = (struct options){.exits = 2, .step = 1};
    while (text < end && *text) {
        const u16 *word = text;

        while (text < end && *text && *text != ' ')
            text++;
        if (text > word && !parse(options, word, text)) {
            put(comma);
            put_word(word, text - word);
            comma = ",";
        }
        while (text < end && *text == ' ')
            text++;
    }
}
