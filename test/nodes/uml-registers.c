// Debian's user-mode Linux (6.1) writes its processes' registers into 2,696 bytes. A kernel takes them whole or not at all,
// and on processors with AMX they are 11,008: the machine's first process then ends at once. So the rest is added here, as
// it is.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

typedef long (*ptrace_function)(enum __ptrace_request, pid_t, void *, void *);

long ptrace(enum __ptrace_request request, ...) {
  static ptrace_function real;
  static char registers[64 * 1024];

  va_list rest;
  va_start(rest, request);
  pid_t pid = va_arg(rest, pid_t);
  void *address = va_arg(rest, void *);
  void *data = va_arg(rest, void *);
  va_end(rest);

  if (real == NULL) real = (ptrace_function)dlsym(RTLD_NEXT, "ptrace");
  if (request != PTRACE_SETREGSET || (long)address != NT_X86_XSTATE) return real(request, pid, address, data);

  struct iovec *given = data;
  struct iovec whole = {registers, sizeof registers};
  long result = real(PTRACE_GETREGSET, pid, address, &whole);
  if (result != 0 || given->iov_len >= whole.iov_len) return real(request, pid, address, data);
  memcpy(registers, given->iov_base, given->iov_len);
  return real(request, pid, address, &whole);
}
