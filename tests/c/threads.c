/* Sixteen threads write to one engine, each as fast as it can, while others wait for their rows, one reads behind a
 * cursor, one reads the directory, and one closes it. Rows are counted by those who were told that they are taken. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "kit.h"

enum { THREADS = 16 };

static tdg_engine *engine;
static tdg_series shared[4];
static const char *directory;
static atomic_ullong taken_rows, durable_rows, read_values;
static atomic_bool ended;

struct waiter {
    tdg_writer *writer;
    tdg_token token;
};

static void *wait_beside(void *argument) {
    struct waiter *waiter = argument;
    tdg_status status = tdg_writer_wait(waiter->writer, waiter->token, LONG);
    OK(status); /* Closing commits it, too. */
    return NULL;
}

static int64_t values_of(struct ArrowArrayStream *stream) {
    struct ArrowArray batch;
    int64_t values = 0;
    for (;;) {
        CHECK(stream->get_next(stream, &batch) == 0);
        if (batch.release == NULL) break;
        values += batch.length;
        batch.release(&batch);
    }
    stream->release(stream);
    return values;
}

static void *read_behind(void *argument) {
    tdg_reader *reader = argument;
    tdg_block block;
    uint64_t last = 0;
    for (;;) {
        struct ArrowArrayStream stream;
        tdg_status status = tdg_reader_next(reader, LONG, &block, &stream, NULL);
        if (status == TDG_E_CLOSED) break;
        OK(status);
        CHECK(block.sequence > last);
        last = block.sequence;
        int64_t values = values_of(&stream);
        CHECK((uint64_t)values == block.values);
        atomic_fetch_add(&read_values, (unsigned long long)values);
        status = tdg_reader_commit(reader, &block, NULL);
        CHECK(status == TDG_OK || status == TDG_E_CLOSED);
    }
    tdg_reader_free(reader);
    return NULL;
}

static void *read_all(void *argument) {
    (void)argument;
    int64_t before = 0;
    while (!atomic_load(&ended)) {
        struct ArrowArrayStream stream;
        tdg_cursor_stats stats;
        OK(tdg_directory_read(TDG_CSTR(directory), &stream, NULL));
        int64_t values = values_of(&stream);
        CHECK(values >= before);
        before = values;
        tdg_status status = tdg_cursor_look(engine, TDG_STR("c"), &stats, sizeof stats, NULL);
        CHECK(status == TDG_OK || status == TDG_E_CLOSED);
    }
    return NULL;
}

static void *work(void *argument) {
    int number = (int)(intptr_t)argument;
    tdg_writer *writer = NULL;
    tdg_status status = tdg_writer_new(engine, &writer, NULL);
    unsigned long long rows = 0, told = 0;
    for (int64_t round = 0; status == TDG_OK; round++) {
        double values[4] = {round / 100.0, 1, 2, 3};
        int64_t time = number * 1000000000ll + round * 10;
        status = tdg_writer_push(writer, shared[number % 4], time, values[0]);
        if (status == TDG_OK) rows++;
        size_t taken = 0;
        if (status == TDG_OK) status = tdg_writer_push_series(writer, shared, time + 1, values, 4, &taken);
        rows += taken;
        if (status == TDG_OK && round % 97 == 96) {
            char host[32];
            snprintf(host, sizeof host, "%d %lld", number, (long long)round);
            tdg_series own = new_series(engine, "coming and going", host);
            status = tdg_writer_push(writer, own, time + 2, 0.5);
            if (status == TDG_OK) rows++;
            OK(tdg_engine_release(engine, own));
        }
        if (status == TDG_OK && round % 1000 == 999) {
            struct waiter waiter = {writer, 0};
            pthread_t beside;
            status = tdg_writer_flush(writer, &waiter.token);
            if (status != TDG_OK) break;
            CHECK(pthread_create(&beside, NULL, wait_beside, &waiter) == 0);
            OK(tdg_writer_wait(writer, waiter.token, LONG));
            pthread_join(beside, NULL);
            told = rows;
        }
        if (status == TDG_E_FULL) status = TDG_OK;
    }
    IS(status, TDG_E_CLOSED);
    atomic_fetch_add(&taken_rows, rows);
    atomic_fetch_add(&durable_rows, told);
    tdg_writer_free(writer);
    return NULL;
}

static tdg_stats counts(void) {
    tdg_stats stats;
    OK(tdg_engine_stats(engine, &stats, sizeof stats));
    return stats;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    directory = argv[1];
    engine = open_engine(directory, false);
    for (int i = 0; i < 4; i++) {
        char host[8];
        snprintf(host, sizeof host, "%d", i);
        shared[i] = new_series(engine, "shared", host);
    }
    tdg_reader *reader = NULL;
    OK(tdg_cursor_create(engine, TDG_STR("c"), TDG_CURSOR_OLDEST, NULL));
    OK(tdg_reader_open(engine, TDG_STR("c"), &reader, NULL));
    pthread_t threads[THREADS], behind, all;
    CHECK(pthread_create(&behind, NULL, read_behind, reader) == 0);
    CHECK(pthread_create(&all, NULL, read_all, NULL) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, work, (void *)(intptr_t)i) == 0);
    while (counts().rows_accepted < 200000) sched_yield();
    OK(tdg_engine_close(engine, LONG, NULL));
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    pthread_join(behind, NULL);
    atomic_store(&ended, true);
    pthread_join(all, NULL);
    /* What the test reads back must be all that a thread was told taken: whatever the engine counts. */
    unsigned long long taken = atomic_load(&taken_rows);
    CHECK(taken >= atomic_load(&durable_rows) && taken >= atomic_load(&read_values));
    CHECK(counts().rows_accepted == taken && counts().rows_discarded == 0 && atomic_load(&read_values) > 0);
    tdg_engine_free(engine);
    printf("%llu\n", taken);
    return 0;
}
