/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Entries for the CPU's 32 exceptions, and the one instruction that is allowed to fault. A #VC other than 0x404 (memory that is
 * not validated) belongs to the firmware: where the hypervisor intercepts IN, OUT, CPUID or RDMSR, its handler emulates them.
 */
    .text
    .macro entry vector
    .if \vector == 29
    cmpq $0x404, (%rsp)
    je 1f
    jmp *firmware_vc(%rip)
1:
    .elseif (\vector != 8) && (\vector < 10 || \vector > 14) && (\vector != 17) && (\vector != 21) && (\vector != 30)
    pushq $0 /* in the place of an error code */
    .endif
    pushq $\vector
    jmp common
    .endm

    .balign 32
    .globl trap_entries /* each in ENTRY_BYTES of its own */
trap_entries:
    .set number, 0
    .rept 32
    .balign 32
    entry number
    .set number, number + 1
    .endr

common:
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rbx
    pushq %rbp
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
    movq %rsp, %rdi
    movq %rsp, %rbx
    andq $-16, %rsp
    call trap
    movq %rbx, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rbp
    popq %rbx
    popq %rdx
    popq %rcx
    popq %rax
    addq $16, %rsp
    iretq

/* bool touch_page(u64 address): read and write, leaving what is there; false when it faulted. */
    .balign 16
    .globl touch_page, touch_instruction, touch_faulted
touch_page:
    movl $1, %eax
touch_instruction:
    lock orl $0, (%rdi)
    ret
touch_faulted:
    xorl %eax, %eax
    ret

    .section .note.GNU-stack, "", @progbits
