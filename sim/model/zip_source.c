/* zip_source.c - pieces of a file without a mapping: what vanishes or shrinks under us is an error, not a signal. */
#if !defined(_XOPEN_SOURCE)
/* NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming) */
#    define _XOPEN_SOURCE 700 /* pread and posix_fadvise */
#endif

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim/model/zip.h"

bool vs_byte_source_open(vs_byte_source *source, const char *path, vs_err *err)
{
    vs_file nothing = {0};
    uint64_t full = 0;
    /* Folders, devices and files that cannot be read are refused here, in the words used everywhere. */
    if (!vs_file_open_head(&nothing, path, 0, &full, err)) {
        return false;
    }
    vs_file_close(&nothing);
    struct stat info;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        if (fd >= 0) {
            (void)close(fd);
        }
        (void)vs_fail(err, VS_ERR_IO, "the file changed while it was opened; try again");
        vs_err_at_input(err, path);
        return false;
    }
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM); /* no read-ahead into weights */
    *source = (vs_byte_source){.fd = fd, .size_bytes = (uint64_t)info.st_size};
    return true;
}

vs_byte_source vs_byte_source_of(const void *bytes, uint64_t size_bytes)
{
    return (vs_byte_source){.bytes = bytes != NULL ? bytes : (const void *)"",
                            .fd = -1,
                            .size_bytes = bytes != NULL ? size_bytes : 0};
}

void vs_byte_source_close(vs_byte_source *source)
{
    if (source->bytes == NULL && source->fd >= 0) {
        (void)close(source->fd);
    }
    *source = vs_byte_source_of(NULL, 0);
}

static bool read_file(const vs_byte_source *source, uint64_t offset, size_t count, uint8_t *out,
                      vs_err *err)
{
    size_t done = 0;
    while (done < count) {
        const ssize_t n = pread(source->fd, out + done, count - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            (void)vs_fail(err, VS_ERR_IO, "%s",
                          n == 0 ? "the file became shorter while it was read"
                                 : "the system could not read the file");
            vs_err_at_offset(err, offset + done);
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

bool vs_byte_source_read(const vs_byte_source *source, uint64_t offset, size_t count, void *out,
                         vs_err *err)
{
    if (offset > source->size_bytes || count > source->size_bytes - offset) {
        (void)vs_fail(err, VS_ERR_FORMAT,
                      "expected %zu bytes here, the file has %" PRIu64
                      " in all; is the download complete?",
                      count, source->size_bytes);
        vs_err_at_offset(err, offset);
        return false;
    }
    if (source->bytes == NULL) {
        return read_file(source, offset, count, out, err);
    }
    memcpy(out, source->bytes + offset, count);
    return true;
}
