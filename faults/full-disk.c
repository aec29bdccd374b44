/*
 * A disk that is full when it is told to be: preloaded into a process, it has every write below a directory fail with ENOSPC
 * while a file exists.
 *
 *   WEIR_DATA_DIR     the directory, which is the process' own anyway
 *   FULL_DISK_WHILE   the file
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_full(int fd) {
  const char *directory = getenv("WEIR_DATA_DIR");
  const char *flag = getenv("FULL_DISK_WHILE");
  char link[64], path[4096];
  ssize_t length;
  if (directory == NULL || flag == NULL || fd < 3 || access(flag, F_OK) != 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return strncmp(path, directory, strlen(directory)) == 0;
}

#define REFUSE_WHEN_FULL(fd)                                                                                                             \
  if (is_full(fd)) {                                                                                                                     \
    errno = ENOSPC;                                                                                                                      \
    return -1;                                                                                                                           \
  }

ssize_t write(int fd, const void *buffer, size_t count) {
  static __typeof__(&write) real;
  REFUSE_WHEN_FULL(fd)
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "write");
  return real(fd, buffer, count);
}

ssize_t pwrite64(int fd, const void *buffer, size_t count, off64_t offset) {
  static __typeof__(&pwrite64) real;
  REFUSE_WHEN_FULL(fd)
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "pwrite64");
  return real(fd, buffer, count, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  static __typeof__(&writev) real;
  REFUSE_WHEN_FULL(fd)
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "writev");
  return real(fd, parts, count);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
  static __typeof__(&pwritev64) real;
  REFUSE_WHEN_FULL(fd)
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "pwritev64");
  return real(fd, parts, count, offset);
}
