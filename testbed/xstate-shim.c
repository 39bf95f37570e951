/*
 * Preloaded into user-mode Linux (up to 6.12 at least), which was built for CPUs whose extended state fits in 2696
 * bytes. On CPUs with more (AMX) a kernel since 5.14 takes PTRACE_SETREGSET(NT_X86_XSTATE) only in full length, so
 * the call fails with EFAULT and the guest panics. This pads what UML hands over with zeroes; the components that
 * it does not know stay in their initial state because their xstate_bv bits are cleared. On other CPUs: no change.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PEEK_FIRST = 1, PEEK_LAST = 3, SET_REGISTER_SET = 0x4205, XSTATE = 0x202 };
enum { LEGACY_AREA = 512, HEADER = 64, LARGEST = 16384 };

static long kernel_ptrace(long request, long pid, long address, void *data)
{
	return syscall(SYS_ptrace, request, pid, address, data);
}

/* Bytes that the enabled components need. */
static unsigned full_length(void)
{
	static unsigned length;
	if (!length) {
		unsigned a, b, c, d;
		__cpuid_count(0xd, 0, a, b, c, d);
		length = b;
	}
	return length;
}

/*
 * The components that lie wholly in the first `length` bytes, as bits of xstate_bv. Found once: CPUID leaves a virtual
 * machine each time, and sixty of those a system call made the guest many times slower. `length` is always the same.
 */
static uint64_t components_within(unsigned length)
{
	static unsigned known_length;
	static uint64_t mask;
	if (known_length == length)
		return mask;
	mask = 3; /* x87 and SSE: the legacy area */
	for (int component = 2; component < 63; component++) {
		unsigned size, offset, flags, d;
		__cpuid_count(0xd, component, size, offset, flags, d);
		if (size && !(flags & 1) && offset + size <= length)
			mask |= 1ULL << component;
	}
	known_length = length;
	return mask;
}

long ptrace(int request, ...)
{
	va_list arguments;
	va_start(arguments, request);
	long pid = va_arg(arguments, int);
	long address = (long)va_arg(arguments, void *);
	void *data = va_arg(arguments, void *);
	va_end(arguments);

	if (request == SET_REGISTER_SET && address == XSTATE) {
		struct iovec *given = data;
		unsigned full = full_length();
		if (given->iov_len >= LEGACY_AREA + HEADER && given->iov_len < full && full <= LARGEST) {
			static char buffer[LARGEST] __attribute__((aligned(64)));
			memcpy(buffer, given->iov_base, given->iov_len);
			*(uint64_t *)(buffer + LEGACY_AREA) &= components_within(given->iov_len);
			memset(buffer + given->iov_len, 0, full - given->iov_len);
			struct iovec padded = { buffer, full };
			return kernel_ptrace(request, pid, address, &padded);
		}
	}
	/* libc's convention for the PEEK requests: the value is the result. */
	if (request >= PEEK_FIRST && request <= PEEK_LAST) {
		long value;
		if (kernel_ptrace(request, pid, address, &value) < 0)
			return -1;
		errno = 0;
		return value;
	}
	return kernel_ptrace(request, pid, address, data);
}
