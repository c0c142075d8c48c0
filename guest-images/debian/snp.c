// SPDX-License-Identifier: BSD-2-Clause-Patent
// snp NONCE: print the SEV status MSR and an attestation report over NONCE (128 hexadecimal digits) as members of a
// JSON object: MSR_AMD64_SEV (AMD APM volume 2, 15.34.10), Linux Documentation/virt/coco/sev-guest.rst.
#include <errno.h>
#include <fcntl.h>
#include <linux/sev-guest.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { SEV_STATUS = 0xc0010131, HEADER = 32, REPORT = 1184 };

static uint64_t msr(uint32_t number)
{
	uint64_t value = 0;
	int file = open("/dev/cpu/0/msr", O_RDONLY);

	if (file < 0 || pread(file, &value, sizeof(value), number) != sizeof(value))
		perror("MSR SEV_STATUS");
	return value;
}

int main(int argc, char **argv)
{
	static struct snp_report_resp response;
	struct snp_report_req request = { .vmpl = 0 };
	struct snp_guest_request_ioctl call = {
		.msg_version = 1, .req_data = (uintptr_t)&request, .resp_data = (uintptr_t)&response,
	};
	int device, error = 0;

	if (argc != 2 || strlen(argv[1]) != 2 * sizeof(request.user_data)) {
		fprintf(stderr, "snp NONCE: 128 hexadecimal digits\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof(request.user_data); i++)
		if (sscanf(argv[1] + 2 * i, "%2hhx", &request.user_data[i]) != 1)
			return 2;
	printf("\"sev_status\":\"%#llx\",", (unsigned long long)msr(SEV_STATUS));
	device = open("/dev/sev-guest", O_RDWR);
	if (device < 0 || ioctl(device, SNP_GET_REPORT, &call))
		error = errno;
	printf("\"device\":%s,\"errno\":%d,\"exitinfo2\":\"%#llx\",\"response\":\"", device < 0 ? "false" : "true", error,
	       (unsigned long long)call.exitinfo2);
	for (size_t i = 0; !error && i < HEADER + REPORT; i++)
		printf("%02x", response.data[i]);
	printf("\"");
	return error != 0;
}
