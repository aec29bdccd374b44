/*
 * Preloaded into a Redis server: shifts the wall clock that this one process sees, while it runs, by the microseconds that
 * stand in the file named by SHIFTED_CLOCK_FILE (a native 64-bit integer). Monotonic clocks stay as they are, as they do
 * when NTP or an operator sets a machine's clock.
 *
 * Allocates nothing, because an allocator that asks for the time while it starts (jemalloc) would wait for itself.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NANOS 1000000000LL

static volatile const int64_t *offset_us;

__attribute__((constructor)) static void open_offset(void) {
  const char *path = getenv("SHIFTED_CLOCK_FILE");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  void *map = file < 0 ? MAP_FAILED : mmap(0, sizeof *offset_us, PROT_READ, MAP_SHARED, file, 0);
  if (map == MAP_FAILED) {
    fputs("shifted clock: SHIFTED_CLOCK_FILE cannot be read\n", stderr);
    _exit(1);
  }
  close(file);
  offset_us = (volatile const int64_t *)map;
}

static int read_clock(clockid_t which, struct timespec *at) {
  int result = (int)syscall(SYS_clock_gettime, which, at);
  if (result != 0 || !offset_us || (which != CLOCK_REALTIME && which != CLOCK_REALTIME_COARSE)) return result;
  int64_t shifted = at->tv_sec * NANOS + at->tv_nsec + *offset_us * 1000;
  at->tv_sec = shifted / NANOS;
  at->tv_nsec = shifted % NANOS;
  return 0;
}

int clock_gettime(clockid_t which, struct timespec *at) { return read_clock(which, at); }

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
  (void)zone;
  struct timespec now;
  read_clock(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *at) {
  struct timespec now;
  read_clock(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}
