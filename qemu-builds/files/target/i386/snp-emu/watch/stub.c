/*
 * SEV-SNP guest emulation for TCG: what blocks call without the ledger
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"

#ifdef CONFIG_TCG
#include "exec/helper-proto.h"

void helper_snp_hook(CPUX86State *env)
{
    g_assert_not_reached();
}
#endif
