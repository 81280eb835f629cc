/* SPDX-License-Identifier: MIT */
/*
 * Level 2: another kernel takes over, without a reset of the machine. `load` prepares it, `go` ends
 * in it; one that was prepared by `crash` takes over after a panic.
 * usage: kexec load|crash KERNEL INITRD CMDLINE | kexec go
 */
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int load(const char *kernel, const char *initrd, const char *cmdline, unsigned long flags)
{
	int k = open(kernel, O_RDONLY | O_CLOEXEC), i = open(initrd, O_RDONLY | O_CLOEXEC);

	if (k < 0 || i < 0) {
		perror(k < 0 ? kernel : initrd);
		return 1;
	}
	if (syscall(SYS_kexec_file_load, k, i, strlen(cmdline) + 1, cmdline, flags)) {
		perror("kexec_file_load");
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "load"))
		return load(argv[2], argv[3], argv[4], 0);
	if (argc == 5 && !strcmp(argv[1], "crash"))
		return load(argv[2], argv[3], argv[4], KEXEC_FILE_ON_CRASH);
	if (argc != 2 || strcmp(argv[1], "go")) {
		fprintf(stderr, "usage: kexec load|crash KERNEL INITRD CMDLINE | kexec go\n");
		return 2;
	}
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
	perror("kexec");
	return 1;
}
