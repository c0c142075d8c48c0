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
    movl $STACK_TOP, %esp
    lidt idt_pointer(%rip)
    call main
1:  hlt
    jmp 1b

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
    popq %rax
    iretq

    .globl vector_6, vector_13, vector_14, vector_29

    .section .tables, "aw"
    .balign 4096
/* Accessed and dirty are preset: 0x63 = P, RW, A, D; 0xe3 = with PS. Pointers to tables are private too. */
pml4:
    .long pdpt + 0x63, C_BIT_HIGH
    .fill 511, 8, 0
    .balign 4096
pdpt:
    .set i, 0
    .rept 4
    .long pd + i * 4096 + 0x63, C_BIT_HIGH
    .set i, i + 1
    .endr
    .set i, 0
    .rept 4
    .long pd + 16384 + i * 4096 + 0x63, C_BIT_HIGH
    .set i, i + 1
    .endr
    .fill 504, 8, 0
    .balign 4096
    .globl pd
pd:
    .set i, 0
    .rept 2048
    .long (i << 21) + 0xe3, C_BIT_HIGH
    .set i, i + 1
    .endr
    .set i, 0
    .rept 2048
    .long (i << 21) + 0xe3, 0
    .set i, i + 1
    .endr

    .balign 16
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff        /* 08: 32-bit code */
    .quad 0x00cf93000000ffff        /* 10: data */
    .quad 0x00af9b000000ffff        /* 18: 64-bit code */
gdt_end:

    .globl idt
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
reset16:
    cli
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
    .long 0xfffffff0                /* SEV-ES reset block: where other vCPUs would start */
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
