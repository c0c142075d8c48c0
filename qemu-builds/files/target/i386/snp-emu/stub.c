/*
 * SEV-SNP guest emulation for TCG: what its instructions call without it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"

#ifdef CONFIG_TCG
#include "exec/helper-proto.h"

void helper_vmgexit(CPUX86State *env, int next_eip_addend)
{
    g_assert_not_reached();
}

void helper_pvalidate(CPUX86State *env)
{
    g_assert_not_reached();
}

void helper_rmpadjust(CPUX86State *env)
{
    g_assert_not_reached();
}
#endif
