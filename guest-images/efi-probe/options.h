/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The words of the command line (QEMU's -append); docs/reference/efi-probe.md explains each. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "efi.h"

enum { MOST_EXITS = 32 };

/* What the probe does wrong by itself after ExitBootServices. */
enum {
    RIGHT,
    WRONG_TWICE,    /* validate a page again */
    WRONG_SHORT,    /* leave the last page out */
    WRONG_BEYOND,   /* accept one page more */
    WRONG_UNASKED,  /* validate without a page state change */
    WRONG_TRESPASS, /* use the page behind */
    WRONG_RESCIND,  /* use a page whose validation it took back */
    WRONG_SHARE,    /* use a page as private that it shared */
};

struct options {
    u64 allow;       /* calls of AllowUnacceptedMemory */
    u64 late;        /* 1: they come between GetMemoryMap and ExitBootServices */
    u64 lookup;      /* 1: locate the protocol although it is not called */
    u64 exits;       /* calls of ExitBootServices at most */
    u64 stale;       /* the first so many of them use a key that is stale on purpose */
    u64 fresh;       /* 1: each further map goes to a new buffer */
    u64 full;        /* 1: use up the firmware's free pool first */
    u64 accept_mib;  /* accept so much of the unaccepted memory through the MemoryAccept protocol */
    u64 own;         /* accept so many pages itself after ExitBootServices */
    u64 wrong;       /* what it does wrong then */
    u64 touch;       /* bit n: touch memory of type n */
    u64 step;        /* pages from one touched page to the next */
};

/* Read the words, and tell those that are not understood as the items of a JSON list. */
void parse_options(struct options *options, const u16 *text, u64 length);

#endif
