// SPDX-License-Identifier: BSD-2-Clause-Patent
// memory MIB|all [WORKERS]: write to one word of every page of MIB mebibytes, shared out among WORKERS processes, and
// print as JSON how the kernel's figures moved. "all" takes what MemAvailable says, less a reserve.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, RESERVE_KB = 48 << 10, MAX_WORKERS = 256 };
#define SAMPLE_NS 200000000L

// The figure in kB, -1 where this kernel has no such line.
static long meminfo(const char *name)
{
	char line[128];
	long value = -1;
	size_t length = strlen(name);
	FILE *file = fopen("/proc/meminfo", "r");

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, name, length) && line[length] == ':')
			value = atol(line + length + 1);
	if (file)
		fclose(file);
	return value;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void touch(long kb)
{
	size_t size = (size_t)kb << 10;
	volatile char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		_exit(3);
	for (size_t i = 0; i < size; i += PAGE)
		memory[i] = 1;
	_exit(0);
}

int main(int argc, char **argv)
{
	long workers = argc > 2 ? atol(argv[2]) : 1;
	long kb = argc > 1 && strcmp(argv[1], "all") ? atol(argv[1]) << 10 : meminfo("MemAvailable") - RESERVE_KB;
	pid_t children[MAX_WORKERS];
	int left, status, failed = 0;
	double start = now();

	if (kb <= 0 || workers < 1 || workers > MAX_WORKERS) {
		fprintf(stderr, "memory: MIB|all [WORKERS]\n");
		return 2;
	}
	printf("\"kb\":%ld,\"workers\":%ld,\"unaccepted_kb\":[%ld", kb, workers, meminfo("Unaccepted"));
	fflush(stdout);
	for (long i = 0; i < workers; i++)
		if (!(children[i] = fork()))
			touch(kb / workers);
	for (left = workers; left;) {
		if (waitpid(-1, &status, WNOHANG) > 0) {
			left--;
			failed += status != 0;
			continue;
		}
		nanosleep(&(struct timespec){.tv_nsec = SAMPLE_NS}, NULL);
		printf(",%ld", meminfo("Unaccepted"));
	}
	printf(",%ld],\"failed_workers\":%d,\"seconds\":%.3f", meminfo("Unaccepted"), failed, now() - start);
	return failed != 0;
}
