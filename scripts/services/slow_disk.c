/* Loaded into a server before its own libraries: what waits for the disk waits KOMBU_DISK_DELAY microseconds longer. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static int delayed(const char *name, int file)
{
    int (*flush)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *delay = getenv("KOMBU_DISK_DELAY");
    int result = flush(file);

    if (delay)
        usleep((useconds_t)atol(delay));
    return result;
}

int fsync(int file)
{
    return delayed("fsync", file);
}

int fdatasync(int file)
{
    return delayed("fdatasync", file);
}
