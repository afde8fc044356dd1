/* A program with an allocator of its own loads the library at run time, uses it, and lets go of it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "kit.h"

static atomic_ullong allocations;

/* Bumps along one stretch and never gives back: whatever frees with another allocator's free would be found here. */
static _Alignas(64) unsigned char heap[256 << 20];
static atomic_size_t used;

static void *take(size_t size, size_t align) {
    if (align < 16) align = 16;
    size_t need = 16 + size + align;
    size_t at = atomic_fetch_add(&used, need);
    if (at + need > sizeof heap) return NULL;
    uintptr_t start = ((uintptr_t)heap + at + 16 + align - 1) & ~(uintptr_t)(align - 1);
    memcpy((void *)(start - 8), &size, sizeof size);
    atomic_fetch_add(&allocations, 1);
    return (void *)start;
}

static void own(void *block) {
    if ((unsigned char *)block < heap || (unsigned char *)block >= heap + sizeof heap) abort();
}

void *malloc(size_t size) { return take(size, 16); }
void free(void *block) {
    if (block) own(block);
}
void *calloc(size_t count, size_t size) {
    if (size && count > SIZE_MAX / size) return NULL;
    return take(count * size, 16); /* Never used before, so it is zero. */
}
void *realloc(void *block, size_t size) {
    void *moved = take(size, 16);
    if (block && moved) {
        size_t old;
        own(block);
        memcpy(&old, (unsigned char *)block - 8, sizeof old);
        memcpy(moved, block, old < size ? old : size);
    }
    return moved;
}
int posix_memalign(void **out, size_t align, size_t size) { return (*out = take(size, align)) ? 0 : 12; }
void *aligned_alloc(size_t align, size_t size) { return take(size, align); }
void *memalign(size_t align, size_t size) { return take(size, align); }

/* ISO C knows no way from an object's pointer to a function's but by its bytes. */
#define LOAD(name)                                  \
    __typeof__(&name) p_##name = NULL;              \
    void *at_##name = dlsym(library, #name);        \
    CHECK(at_##name != NULL);                       \
    memcpy(&p_##name, &at_##name, sizeof(void *))

int main(int argc, char **argv) {
    CHECK(argc == 3);
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) fprintf(stderr, "%s\n", dlerror());
    CHECK(library);
    LOAD(tdg_options_new);
    LOAD(tdg_options_set);
    LOAD(tdg_options_free);
    LOAD(tdg_engine_open);
    LOAD(tdg_engine_close);
    LOAD(tdg_engine_free);
    LOAD(tdg_engine_series);
    LOAD(tdg_writer_new);
    LOAD(tdg_writer_push);
    LOAD(tdg_writer_flush);
    LOAD(tdg_writer_wait);
    LOAD(tdg_writer_free);
    unsigned long long before = atomic_load(&allocations);
    tdg_options *options = p_tdg_options_new();
    tdg_engine *engine = NULL;
    tdg_writer *writer = NULL;
    tdg_series series = 0;
    tdg_token token = 0;
    CHECK(p_tdg_options_set(options, TDG_STR("data.directory"), TDG_CSTR(argv[2]), NULL) == TDG_OK);
    CHECK(p_tdg_options_set(options, TDG_STR("data.disk"), TDG_STR("threads"), NULL) == TDG_OK);
    CHECK(p_tdg_engine_open(options, &engine, NULL) == TDG_OK);
    p_tdg_options_free(options);
    CHECK(p_tdg_engine_series(engine, TDG_STR("loaded"), NULL, 0, &series, NULL) == TDG_OK);
    CHECK(p_tdg_writer_new(engine, &writer, NULL) == TDG_OK);
    for (int i = 0; i < 10000; i++) CHECK(p_tdg_writer_push(writer, series, i, i * 0.5) == TDG_OK);
    CHECK(p_tdg_writer_flush(writer, &token) == TDG_OK);
    CHECK(p_tdg_writer_wait(writer, token, LONG) == TDG_OK);
    CHECK(p_tdg_engine_close(engine, LONG, NULL) == TDG_OK);
    p_tdg_writer_free(writer);
    p_tdg_engine_free(engine);
    CHECK(atomic_load(&allocations) > before); /* The library has no allocator but the program's. */
    /* It stays where it is: its code can still be called. */
    CHECK(dlclose(library) == 0);
    CHECK(p_tdg_options_new() != NULL);
    return 0;
}
