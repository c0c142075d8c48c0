/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * From the reset vector to 64-bit C, as an SEV-SNP guest. The image is loaded right below 4 GiB and is private
 * and validated from launch; so are the metadata's pages at RAM_BASE, where stack and data are.
 *
 * Virtual addresses: 0-4 GiB is identity mapped private (C-bit set), 4-8 GiB is the same memory mapped shared.
 */
#define C_BIT_HIGH 0x00080000   /* bit 51, in the upper half of an entry */
#define RAM_BASE   0x00100000
#define STACK_TOP  0x00140000
#define AP_STACK   0x00144000
#define TRAP_STACK 0x00148000   /* of exceptions at CPL 3 */
#define USER_CODE  0x2b
#define USER_DATA  0x23
#define TSS        0x30
#define TSS_BASE   0x00149000

    .section .text.start, "ax"
    .globl start32
    .code32
start32:
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl %cr4, %eax
    orl $0x620, %eax                /* PAE, OSFXSR, OSXMMEXCPT */
    movl %eax, %cr4
    movl $pml4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx          /* EFER.LME */
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    andl $~0x4, %eax                /* EM */
    orl $0x80000002, %eax           /* PG, MP */
    movl %eax, %cr0
    ljmp $0x18, $start64

    .code64
start64:
    testl %esi, %esi
    jnz ap64
    movl $STACK_TOP, %esp
    lidt idt_pointer(%rip)
    movq $TRAP_STACK, TSS_BASE + 4  /* RSP0 */
    movw $TSS, %cx
    ltr %cx
    call main
1:  hlt
    jmp 1b

ap64:
    movl $AP_STACK, %esp
    lidt idt_pointer(%rip)
    call ap_at_reset_block

    .globl spin
spin:
    jmp spin

/* An NMI, which wakes whom it may wake and does nothing else */
vector_2:
    iretq

/* Exceptions: record vector, error code and CR2, then go on at the address in `resume`. */
    .macro stub vector, has_error
vector_\vector:
    .if !\has_error
    pushq $0
    .endif
    pushq $\vector
    jmp common
    .endm
    stub 6, 0
    stub 13, 1
    stub 14, 1
    stub 29, 1

common:
    popq fault_vector
    popq fault_error
    pushq %rax
    movq %cr2, %rax
    movq %rax, fault_address
    movq resume, %rax
    movq %rax, 8(%rsp)              /* the interrupted RIP */
    movq $0x18, 16(%rsp)            /* at CPL 0, whatever it was */
    movq $0x10, 40(%rsp)
    popq %rax
    iretq

/* uint32_t pvalidate_32(uint64_t address, uint32_t size, uint32_t validate) */
    .globl pvalidate_32
pvalidate_32:
    pushq %rbp
    movq %rsp, %rbp
    movq %rdi, %rax
    movl %esi, %ecx
    pushq $0x08
    movl $1f, %r8d
    pushq %r8
    lretq
    .code32
1:  .byte 0xf2, 0x0f, 0x01, 0xff
    ljmp $0x18, $2f
    .code64
2:  movq %rbp, %rsp
    popq %rbp
    ret

/* void pvalidate_user(uint64_t address), rmpadjust_user: at CPL 3; should it not fault, ud2 does */
    .globl pvalidate_user, rmpadjust_user
pvalidate_user:
    movl $user_pvalidate, %r8d
    jmp 1f
rmpadjust_user:
    movl $user_rmpadjust, %r8d
1:  movq %rdi, %rax
    xorl %ecx, %ecx
    movl $1, %edx
    movl $1f, %r9d
    movq %r9, resume
    movq %rsp, %r9
    pushq $USER_DATA
    pushq %r9
    pushfq
    pushq $USER_CODE
    pushq %r8
    iretq
user_pvalidate:
    .byte 0xf2, 0x0f, 0x01, 0xff
    ud2
user_rmpadjust:
    .byte 0xf3, 0x0f, 0x01, 0xfe
    ud2
1:  ret

    .globl vector_2, vector_6, vector_13, vector_14, vector_29

    .section .tables, "aw"
    .balign 4096
    .globl pml4
/* Accessed and dirty are preset: 0x67 = P, RW, US, A, D; 0xe7 = with PS. Pointers to tables are private too. */
pml4:
    .long pdpt + 0x67, C_BIT_HIGH
    .fill 511, 8, 0
    .balign 4096
pdpt:
    .set i, 0
    .rept 4
    .long pd + i * 4096 + 0x67, C_BIT_HIGH
    .set i, i + 1
    .endr
    .set i, 0
    .rept 4
    .long pd + 16384 + i * 4096 + 0x67, C_BIT_HIGH
    .set i, i + 1
    .endr
    .fill 504, 8, 0
    .balign 4096
    .globl pd
pd:
    .set i, 0
    .rept 2048
    .long (i << 21) + 0xe7, C_BIT_HIGH
    .set i, i + 1
    .endr
    .set i, 0
    .rept 2048
    .long (i << 21) + 0xe7, 0
    .set i, i + 1
    .endr

    .balign 16
    .globl gdt, gdt_end
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff        /* 08: 32-bit code */
    .quad 0x00cf93000000ffff        /* 10: data */
    .quad 0x00af9b000000ffff        /* 18: 64-bit code */
    .quad 0x00cff3000000ffff        /* 20: data, user */
    .quad 0x00affb000000ffff        /* 28: 64-bit code, user */
                                    /* 30: TSS, 16 bytes, in RAM */
    .quad 0x0000890000000067 | (TSS_BASE & 0xffffff) << 16 | (TSS_BASE >> 24) << 56
    .quad 0
gdt_end:

    .globl idt, idt_end
    .balign 16
idt:
    .fill 64, 8, 0
idt_end:
idt_pointer:
    .word idt_end - idt - 1
    .quad idt

/* OVMF's SEV metadata and GUIDed table: what the launch has to prepare. */
    .section .metadata, "a"
    .balign 16
metadata:
    .ascii "ASEV"
    .long metadata_end - metadata
    .long 1
    .long 3
    .long RAM_BASE, 0x100000, 1     /* zero pages: stack, data, free room */
    .long 0x00200000, 0x1000, 2     /* secrets page */
    .long 0x00201000, 0x1000, 3     /* CPUID page */
metadata_end:

    .section .reset, "ax"
    .code16
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt
ap_reset:                           /* the SEV-ES reset block: where KVM starts other vCPUs */
    movl $1, %esi
    jmp 1f
reset16:
    xorl %esi, %esi
1:  cli
    movw $gdt_pointer - 0xffff0000, %bx
    lgdtl %cs:(%bx)
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $0x08, $start32

    .section .guids, "a"
    .long metadata_offset           /* distance from the image's end */
    .word 22
    .long 0xdc886566
    .word 0x984a, 0x4798
    .byte 0xa7, 0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67, 0xcc
    .long ap_reset                  /* SEV-ES reset block */
    .word 22
    .long 0x00f771de
    .word 0x1a7e, 0x4fcb
    .byte 0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e
    .word 22 + 22 + 18
    .long 0x96b582de
    .word 0x1fb2, 0x45f7
    .byte 0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d
    .fill 16, 1, 0
    .code16
vector_reset:
    jmp reset16                     /* 0xfffffff0 */
    .skip 16 - (. - vector_reset)
