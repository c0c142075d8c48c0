// SPDX-License-Identifier: BSD-2-Clause-Patent
// kexec load|crash KERNEL INITRD CMDLINE: load a kernel for a later kexec or for a crash (kexec_file_load(2)).
// kexec exec: jump into the loaded one (reboot(2), LINUX_REBOOT_CMD_KEXEC).
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "exec")) {
		syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
		perror("kexec: reboot");
		return 1;
	}
	if (argc != 5 || (strcmp(argv[1], "load") && strcmp(argv[1], "crash"))) {
		fprintf(stderr, "kexec: load|crash KERNEL INITRD CMDLINE, or exec\n");
		return 2;
	}
	int kernel = open(argv[2], O_RDONLY), initrd = open(argv[3], O_RDONLY);
	unsigned long flags = strcmp(argv[1], "crash") ? 0 : KEXEC_FILE_ON_CRASH;

	if (kernel < 0 || initrd < 0) {
		perror(kernel < 0 ? argv[2] : argv[3]);
		return 1;
	}
	if (syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[4]) + 1, argv[4], flags)) {
		perror("kexec: kexec_file_load");
		return 1;
	}
	return 0;
}
