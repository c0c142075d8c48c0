// SPDX-License-Identifier: BSD-2-Clause-Patent
// The only program of a guest: load the modules of /modules in order of their names, ask /dev/sev-guest for what it
// can give, and write one line for each answer: NAME ERRNO EXITINFO2 [HEX].
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/sev-guest.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int device;
static struct snp_report_resp report;
static struct snp_derived_key_resp key;

static void tell(const char *name, int error, uint64_t exitinfo2, const void *data, size_t size)
{
	printf("%s %d %llx ", name, error, (unsigned long long)exitinfo2);
	for (size_t i = 0; i < size; i++)
		printf("%02x", ((const uint8_t *)data)[i]);
	printf("\n");
}

static void ask(const char *name, unsigned long command, void *request, void *response, const void *data, size_t size)
{
	struct snp_guest_request_ioctl call = {
		.msg_version = 1, .req_data = (uintptr_t)request, .resp_data = (uintptr_t)response,
	};
	int error = ioctl(device, command, &call) ? errno : 0;

	tell(name, error, call.exitinfo2, data, error ? 0 : size);
}

static void ask_report(const char *name, uint8_t first, uint32_t vmpl)
{
	struct snp_report_req request = { .vmpl = vmpl };

	for (unsigned i = 0; i < sizeof(request.user_data); i++)
		request.user_data[i] = first + i;
	ask(name, SNP_GET_REPORT, &request, &report, report.data, 32 + 1184);
}

static void ask_key(const char *name, uint64_t fields)
{
	struct snp_derived_key_req request = { .guest_field_select = fields };

	ask(name, SNP_GET_DERIVED_KEY, &request, &key, key.data, sizeof(key.data));
}

static void ask_extended(const char *name, uint32_t length)
{
	static uint8_t certificates[4096];
	struct snp_ext_report_req request = { .certs_address = length ? (uintptr_t)certificates : 0, .certs_len = length };

	memset(certificates, 0xff, sizeof(certificates));
	ask(name, SNP_GET_EXT_REPORT, &request, &report, certificates, 24);
	printf("%s-length %u\n", name, request.certs_len);
}

int main(void)
{
	glob_t modules;

	mkdir("/dev", 0755);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	glob("/modules/*", 0, NULL, &modules);
	for (size_t i = 0; i < modules.gl_pathc; i++) {
		int file = open(modules.gl_pathv[i], O_RDONLY);

		if (syscall(SYS_finit_module, file, "", 0))
			perror(modules.gl_pathv[i]);
	}
	device = open("/dev/sev-guest", O_RDWR);
	printf("\n");	// the firmware left the cursor anywhere
	tell("open", device < 0 ? errno : 0, 0, NULL, 0);
	ask_report("report", 1, 0);
	ask_report("report-vmpl", 2, 2);
	ask_report("report-no-vmpl", 3, 4);
	ask_key("key", 0);
	ask_key("key-again", 0);
	ask_key("key-measured", 1 << 3);
	ask_extended("extended", 4096);
	ask_extended("extended-short", 0);
	ask_report("report-last", 4, 0);
	printf("end of answers\n");
	fflush(stdout);
	sync();
	reboot(RB_POWER_OFF);
}
