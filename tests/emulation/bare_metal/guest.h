/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * What the bare-metal tests share: the debug port, instructions that may fault, and requests to the hypervisor.
 * Each TEST prints one line: "ok NAME", or "FAIL NAME: what was seen". Rules are those of the AMD64 manual (APM,
 * volume 2, 15.36; volume 3, PVALIDATE and RMPADJUST) and of the GHCB specification 2.0x.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stdint.h>

/* The low 4 GiB are mapped twice, see start.S: private, and shared from 4 GiB on. */
#define SHARED(gpa)   ((void *)((gpa) + (4ULL << 30)))
#define PAGE          4096ULL
#define BLOCK         (2ULL << 20)
#define RAM_SIZE      (256ULL << 20)
#define NO_MEMORY     0xfd00000000ULL
#define NOT_MAPPED    (1ULL << 39)
#define NOT_CANONICAL (1ULL << 63)
#define MSR_GHCB      0xc0010130
#define MSR_STATUS    0xc0010131
#define NMI           2
#define UD            6
#define GP            13
#define PF            14
#define VC            29
#define NOT_VALIDATED 0x404
#define NO_FAULT      (-1ULL)

/* Selectors of start.S's GDT */
#define CODE64 0x18
#define DATA   0x10

extern uint64_t fault_vector, fault_error, fault_address, resume;
extern uint64_t pml4[], idt[];
extern uint64_t ghcb_msr_at_reset;
extern char gdt[], gdt_end[], idt_end[];

void outb(uint16_t port, uint8_t value);
uint8_t inb(uint16_t port);
void say(const char *text);
void say_hex(uint64_t value);
void begin(const char *name);
void end(void);
void expect(const char *what, uint64_t seen, uint64_t wanted);

#define TEST(name) for (bool once = (begin(name), true); once; once = (end(), false))

/* The value of the fw_cfg file opt/NAME as a number, `missing` when there is none. */
uint64_t option(const char *name, uint64_t missing);

/* What the machine is to be like: KVM's answers, and the sizes of RMP entries. */
extern bool kvm;
extern enum entries { ENTRIES_4K, ENTRIES_2M, ENTRIES_MIXED } entries;
void read_options(void);

/* Guest memory that nothing has touched. */
uint64_t new_block(void);

/* Validates a block by one 2M PVALIDATE, or by 512 of 4K if that is a size mismatch. */
void accept_block(uint64_t block);

uint64_t rdmsr(uint32_t msr);
void wrmsr(uint32_t msr, uint64_t value);
void cpuid(uint32_t leaf, uint32_t regs[4]);

/* Instructions that may fault leave the vector in fault_vector, NO_FAULT if they did not. */
uint64_t read8(void *address);
void write8(void *address, uint64_t value);

struct result {
    uint32_t eax;
    bool carry, zero;
};

struct result pvalidate(uint64_t address, uint32_t size, uint32_t validate);
uint32_t rmpadjust(uint64_t address, uint32_t size, uint64_t attributes);

/* In start.S: the instruction in 32-bit code, with the address's upper half as it is; and at CPL 3. */
uint32_t pvalidate_32(uint64_t address, uint32_t size, uint32_t validate);
void pvalidate_user(uint64_t address);
void rmpadjust_user(uint64_t address);

uint64_t vmgexit_msr(uint64_t request);

#define PSC_PRIVATE 1ULL
#define PSC_SHARED  2ULL
#define PSC_PSMASH  3ULL
#define PSC_UNSMASH 4ULL

uint64_t psc_msr(uint64_t gpa, uint64_t operation);

/* The GHCB: a page of its own, shared and registered. */
extern uint64_t ghcb_gpa;

enum { CPL = 0x0cb, RAX = 0x1f8, RCX = 0x308, RDX = 0x310, RBX = 0x318, CODE = 0x390, INFO1 = 0x398,
       INFO2 = 0x3a0, SCRATCH = 0x3a8, XCR0 = 0x3e8, VALID = 0x3f0, BUFFER = 0x800, BUFFER_SIZE = 2032 };

/* Exit codes */
#define NAE_DR7_READ        0x27ULL
#define NAE_DR7_WRITE       0x37ULL
#define NAE_RDTSC           0x6eULL
#define NAE_RDPMC           0x6fULL
#define NAE_CPUID           0x72ULL
#define NAE_INVD            0x76ULL
#define NAE_IOIO            0x7bULL
#define NAE_MSR             0x7cULL
#define NAE_VMMCALL         0x81ULL
#define NAE_RDTSCP          0x87ULL
#define NAE_WBINVD          0x89ULL
#define NAE_MONITOR         0x8aULL
#define NAE_MWAIT           0x8bULL
#define NAE_MMIO_READ       0x80000001ULL
#define NAE_MMIO_WRITE      0x80000002ULL
#define NAE_NMI_COMPLETE    0x80000003ULL
#define NAE_AP_RESET_HOLD   0x80000004ULL
#define NAE_AP_JUMP_TABLE   0x80000005ULL
#define NAE_PSC             0x80000010ULL
#define NAE_REQUEST         0x80000011ULL
#define NAE_EXT_REQUEST     0x80000012ULL
#define NAE_AP_CREATION     0x80000013ULL
#define NAE_HV_DOORBELL     0x80000014ULL
#define NAE_APIC_IDS        0x80000017ULL
#define NAE_RUN_VMPL        0x80000018ULL
#define NAE_HV_FEATURES     0x8000fffdULL
#define NAE_TERMINATE       0x8000fffeULL
#define NAE_UNSUPPORTED     0x8000ffffULL

/* SW_EXITINFO1, and SW_EXITINFO2 of a malformed request */
enum { DONE = 0, EXCEPTION = 1, MALFORMED = 2 };
enum { NOT_REGISTERED = 1, INVALID_USAGE = 2, INVALID_SCRATCH = 3, MISSING_INPUT = 4, INVALID_INPUT = 5,
       INVALID_EVENT = 6 };

volatile uint64_t *field(unsigned offset);
bool valid(unsigned offset);
void mark(unsigned offset);
void put(unsigned offset, uint64_t value);
void new_request(uint64_t code, uint64_t info1, uint64_t info2);
void submit(void);
void expect_malformed(unsigned reason);
void expect_done(uint64_t info2);

void send_ipi(uint32_t command);
#define IPI_NMI  0x4400
#define IPI_INIT 0x4500
#define IPI_SIPI 0x4610

/* A VMSA page that starts a vCPU. No two are in one block, none is its block's first page. */
uint64_t new_vmsa(void);

/* Another vCPU that does nothing; is it taken? */
extern char spin[];
void spin_vmsa(uint64_t vmsa);
bool create_vcpu(uint64_t vmsa);
void await_vcpu(uint64_t vmsa);
void destroy_vcpu(uint64_t vmsa);

/* Does the second vCPU run? Given up after long enough. It reads from ap_reads, if that is not 0. */
bool beating(void);
bool stops(void);
void expect_stopped(void);
void expect_stands(const char *what);
/* It goes into AP reset hold; 0x6 in the MSR, or by the GHCB page. */
void park_it(bool by_page);
bool wakes(uint32_t first, uint32_t second);
/* The vCPU enters AP reset hold, by the MSR; does it go on by itself? */
bool goes_on_from_hold(void);
extern volatile uint64_t woken, starts;
extern volatile uint64_t ap_reads;

/* The rules, by topic */
void memory_rules(void);
void table_rules(void);
void code_rules(void);
void msr_rules(void);
void ghcb_rules(void);
void page_state_rules(void);
void message_rules(void);
void vmsa_rules(void);
void kvm_start_rules(void);

/* What ends the guest, by number; and many random requests. */
void ending(unsigned number);
void fuzz(uint64_t cases, uint64_t seed, bool snp);
void fuzz_vmsa(uint64_t first, uint64_t cases, uint64_t seed);

#endif
