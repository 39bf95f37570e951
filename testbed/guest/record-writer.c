/* record-writer DEVICE RATE SPAN: in the guest, writes numbered, checksummed records of 4 KiB to a disk, each past all
 * caches (O_DIRECT, fdatasync) before the next, and acknowledges them on standard output.
 *
 * RATE: records a second, 0 is flat out. SPAN: how many slots of 4 KiB it uses, 0 is the whole disk. Record n lies in slot
 * (n * 2654435761) mod SPAN: a permutation, so writes are spread over the disk and what every slot must hold follows from
 * the last number alone. It goes on after the highest number found on the disk.
 *
 * A record is little endian: u64 magic, number, slot, span; noise; in the last 4 bytes the CRC-32 of all before.
 *
 * Lines, with the disk's name first:
 *   begin bytes=B span=S next=N         found the disk
 *   first                               the first record is acknowledged
 *   acked=N worst_us=U                  once a second, and when a write took longer than a second: all up to N are on the
 *                                       disk; U is the longest write since the last such line
 *   error number=N errno=E              a record could not be written
 *   gone                                the disk was taken out of the guest */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define MAGIC 0x3144524345525246ULL /* "FRRECRD1" */
#define RECORD 4096

static uint32_t crc_table[256];

static void prepare_crc(void) {
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int k = 0; k < 8; k++) c = c & 1 ? 0xEDB88320U ^ (c >> 1) : c >> 1;
		crc_table[i] = c;
	}
}

static uint32_t crc32(const uint8_t *data, size_t length) {
	uint32_t c = ~0U;
	while (length--) c = crc_table[(c ^ *data++) & 255] ^ (c >> 8);
	return ~c;
}

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static uint64_t highest(int fd, uint64_t span) {
	const size_t chunk = 1 << 20;
	uint8_t *buffer;
	uint64_t found = 0;
	if (posix_memalign((void **)&buffer, RECORD, chunk)) exit(1);
	for (uint64_t at = 0; at < span * RECORD; at += chunk) {
		ssize_t got = pread(fd, buffer, chunk, at);
		for (ssize_t k = 0; k + RECORD <= got; k += RECORD) {
			uint64_t *record = (uint64_t *)(buffer + k);
			if (record[0] == MAGIC && record[1] > found) found = record[1];
		}
	}
	free(buffer);
	return found;
}

int main(int count, char **argument) {
	if (count < 4) return 2;
	const char *device = argument[1];
	double rate = atof(argument[2]);
	uint64_t span = strtoull(argument[3], 0, 10), bytes = 0;
	char path[64], about[64];
	snprintf(path, sizeof path, "/dev/%s", device);
	snprintf(about, sizeof about, "/sys/block/%s", device);
	setvbuf(stdout, 0, _IOLBF, 0);
	prepare_crc();
	int fd = open(path, O_RDWR | O_DIRECT);
	if (fd < 0) {
		printf("%s error number=0 errno=%d\n", device, errno);
		return 1;
	}
	ioctl(fd, BLKGETSIZE64, &bytes);
	if (!span || span > bytes / RECORD) span = bytes / RECORD;
	uint8_t *buffer;
	if (posix_memalign((void **)&buffer, RECORD, RECORD)) return 1;
	uint64_t *word = (uint64_t *)buffer, number = highest(fd, span) + 1, acked = 0;
	printf("%s begin bytes=%llu span=%llu next=%llu\n", device, (unsigned long long)bytes, (unsigned long long)span,
	       (unsigned long long)number);

	double told = now(), due = told, worst = 0;
	for (;; number++) {
		uint64_t slot = number * 2654435761ULL % span, noise = number * 0x9E3779B97F4A7C15ULL | 1;
		word[0] = MAGIC, word[1] = number, word[2] = slot, word[3] = span;
		for (int i = 4; i < RECORD / 8; i++) {
			noise ^= noise << 13, noise ^= noise >> 7, noise ^= noise << 17;
			word[i] = noise;
		}
		uint32_t sum = crc32(buffer, RECORD - 4);
		memcpy(buffer + RECORD - 4, &sum, 4);

		double before = now();
		if (pwrite(fd, buffer, RECORD, (off_t)(slot * RECORD)) != RECORD || fdatasync(fd)) {
			int why = errno;
			/* A disk that is being taken out fails first and is gone a moment later. */
			for (int i = 0; i < 20 && access(about, F_OK) == 0; i++) usleep(100000);
			if (access(about, F_OK)) {
				printf("%s gone\n", device);
				return 0;
			}
			printf("%s error number=%llu errno=%d\n", device, (unsigned long long)number, why);
		} else {
			if (!acked) printf("%s first\n", device);
			acked = number;
		}
		double after = now();
		if (after - before > worst) worst = after - before;
		if (after - told >= 1 || after - before >= 1) {
			printf("%s acked=%llu worst_us=%.0f\n", device, (unsigned long long)acked, worst * 1e6);
			told = after, worst = 0;
		}
		if (rate > 0) {
			due += 1 / rate;
			double wait = due - now();
			if (wait > 0) usleep(wait * 1e6);
			else if (wait < -1) due = now();
		}
	}
}
