/* tests/support/torchfile.c - see torchfile.h. Not in the header: the analyser would walk through these loops at every call. */
#include "tests/support/torchfile.h"

#include <stdlib.h>
#include <string.h>

void put(bytes *b, const void *data, size_t count)
{
    if (b->count + count > b->room) {
        const size_t room = 2 * (b->count + count) + 64;
        uint8_t *const bigger = realloc(b->at, room);
        vs_assert(bigger != NULL);
        b->at = bigger;
        b->room = room;
    }
    if (count > 0) {
        memcpy(b->at + b->count, data, count);
    }
    b->count += count;
}

void put_number(bytes *b, uint64_t value, unsigned width)
{
    for (unsigned i = 0; i < width; i++) {
        const uint8_t byte = (uint8_t)(value >> (8 * i));
        put(b, &byte, 1);
    }
}

void put_byte(bytes *b, unsigned value)
{
    put_number(b, value, 1);
}

void put_text(bytes *b, const char *text)
{
    put(b, text, strlen(text));
}

void put_zeros(bytes *b, size_t count)
{
    while (count-- > 0) {
        put_byte(b, 0);
    }
}

void free_bytes(bytes *b)
{
    free(b->at);
    b->at = NULL;
    b->count = 0;
    b->room = 0;
}

/* ---- pickles ------------------------------------------------------------------------------- */

void pk_proto(bytes *b, unsigned version)
{
    put_byte(b, 0x80);
    put_byte(b, version);
}

void pk_text(bytes *b, const char *text)
{
    put_byte(b, 'X');
    put_number(b, strlen(text), 4);
    put_text(b, text);
}

void pk_int(bytes *b, uint64_t value)
{
    put_byte(b, 0x8a);
    put_byte(b, 8);
    put_number(b, value, 8);
}

void pk_global(bytes *b, const char *module, const char *name)
{
    put_byte(b, 'c');
    put_text(b, module);
    put_byte(b, '\n');
    put_text(b, name);
    put_byte(b, '\n');
}

void pk_storage(bytes *b, const char *type, const char *key, uint64_t elements, bool is_legacy)
{
    put_text(b, "(");
    pk_text(b, "storage");
    pk_global(b, "torch", type);
    pk_text(b, key);
    pk_text(b, "cpu");
    pk_int(b, elements);
    put_text(b, is_legacy ? "NtQ" : "tQ");
}

void pk_dims(bytes *b, const uint64_t *dims, size_t count)
{
    put_text(b, "(");
    for (size_t i = 0; i < count; i++) {
        pk_int(b, dims[i]);
    }
    put_text(b, "t");
}

void pk_view(bytes *b, uint64_t offset, const uint64_t *shape, const uint64_t *stride,
             size_t dims)
{
    pk_int(b, offset);
    pk_dims(b, shape, dims);
    pk_dims(b, stride, dims);
    put_byte(b, 0x89);
    pk_global(b, "collections", "OrderedDict");
    put_text(b, ")R");
}

void pk_tensor(bytes *b, const char *type, const char *key, uint64_t elements, bool is_legacy)
{
    const uint64_t one = 1;
    pk_global(b, "torch._utils", "_rebuild_tensor_v2");
    put_text(b, "(");
    pk_storage(b, type, key, elements, is_legacy);
    pk_view(b, 0, &elements, &one, 1);
    put_text(b, "tR");
}

void pk_two_tensors(bytes *b, bool is_legacy)
{
    const uint64_t shape[] = {3, 4};
    const uint64_t stride[] = {4, 1};
    pk_proto(b, 2);
    put_text(b, "}(");
    pk_text(b, "a");
    pk_global(b, "torch._utils", "_rebuild_tensor_v2");
    put_text(b, "q\001(");
    pk_storage(b, "HalfStorage", "0", 12, is_legacy);
    pk_view(b, 0, shape, stride, 2);
    put_text(b, "tR");
    pk_text(b, "b");
    pk_tensor(b, "FloatStorage", "1", 2, is_legacy);
    put_text(b, "u.");
}

/* ---- zip ---------------------------------------------------------------------------------------- */

void zip_add(zipped *z, const char *name, const void *data, size_t count, size_t align)
{
    vs_assert(z->count < ZIP_ENTRIES_MAX);
    const size_t i = z->count++;
    const size_t start = z->file.count + 30 + strlen(name) + 4;
    const size_t extra = align == 0 ? 0 : 4 + (align - start % align) % align;
    z->header[i] = z->file.count;
    z->entry[i] = z->directory.count;
    put_text(&z->file, "PK\003\004");
    put_zeros(&z->file, 14);
    put_number(&z->file, count, 4);
    put_number(&z->file, count, 4);
    put_number(&z->file, strlen(name), 2);
    put_number(&z->file, extra, 2);
    put_text(&z->file, name);
    if (extra > 0) {
        put_text(&z->file, "FB");
        put_number(&z->file, extra - 4, 2);
        put_zeros(&z->file, extra - 4);
    }
    z->data[i] = z->file.count;
    put(&z->file, data, count);

    put_text(&z->directory, "PK\001\002");
    put_zeros(&z->directory, 16);
    put_number(&z->directory, count, 4);
    put_number(&z->directory, count, 4);
    put_number(&z->directory, strlen(name), 2);
    put_zeros(&z->directory, 12);
    put_number(&z->directory, z->header[i], 4);
    put_text(&z->directory, name);
}

void zip_end(zipped *z, size_t comment_bytes)
{
    put_text(&z->file, "PK\005\006");
    put_zeros(&z->file, 4);
    put_number(&z->file, z->count, 2);
    put_number(&z->file, z->count, 2);
    put_number(&z->file, z->directory.count, 4);
    put_number(&z->file, z->directory_at, 4);
    put_number(&z->file, comment_bytes, 2);
}

void zip_finish(zipped *z, bool is_64)
{
    z->directory_at = z->file.count;
    put(&z->file, z->directory.at, z->directory.count);
    if (is_64) {
        const size_t record = z->file.count;
        put_text(&z->file, "PK\006\006");
        put_number(&z->file, 44, 8);
        put_zeros(&z->file, 12);
        put_number(&z->file, z->count, 8);
        put_number(&z->file, z->count, 8);
        put_number(&z->file, z->directory.count, 8);
        put_number(&z->file, z->directory_at, 8);
        put_text(&z->file, "PK\006\007");
        put_zeros(&z->file, 4);
        put_number(&z->file, record, 8);
        put_number(&z->file, 1, 4);
    }
    zip_end(z, 0);
}

void zip_free(zipped *z)
{
    free_bytes(&z->file);
    free_bytes(&z->directory);
}

/* ---- whole files ------------------------------------------------------------------------------------ */

void torch_zip(zipped *z)
{
    static const uint8_t data[24] = {0};
    bytes pickle = {0};
    pk_two_tensors(&pickle, false);
    zip_add(z, "m/data.pkl", pickle.at, pickle.count, 64);
    zip_add(z, "m/byteorder", "little", 6, 64);
    zip_add(z, "m/data/0", data, 24, 64);
    zip_add(z, "m/data/1", data, 8, 64);
    zip_add(z, "m/version", "3\n", 2, 64);
    zip_finish(z, true);
    free_bytes(&pickle);
}

void legacy_preamble(bytes *b, bool is_little)
{
    static const char magic[] = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    pk_proto(b, 2);
    put(b, magic, sizeof magic - 1);
    pk_proto(b, 2);
    put_text(b, "M\xe9\003.");
    pk_proto(b, 2);
    put_text(b, "}(");
    pk_text(b, "little_endian");
    put_byte(b, is_little ? 0x88 : 0x89);
    put_text(b, "u.");
}

void legacy_storages(bytes *b)
{
    pk_proto(b, 2);
    put_text(b, "](");
    pk_text(b, "0");
    pk_text(b, "1");
    put_text(b, "e.");
    put_number(b, 12, 8);
    put_zeros(b, 24);
    put_number(b, 2, 8);
    put_zeros(b, 8);
}

void torch_legacy(bytes *b)
{
    legacy_preamble(b, true);
    pk_two_tensors(b, true);
    legacy_storages(b);
}
