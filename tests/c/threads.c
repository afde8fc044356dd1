/* Sixteen threads write to one engine, each as fast as it can, while others wait for their rows and one closes it. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "kit.h"

enum { THREADS = 16 };

static tdg_engine *engine;
static tdg_series shared[4];
static atomic_ullong durable_rows;

struct waiter {
    tdg_writer *writer;
    tdg_token token;
};

static void *wait_beside(void *argument) {
    struct waiter *waiter = argument;
    tdg_status status = tdg_writer_wait(waiter->writer, waiter->token, LONG);
    CHECK(status == TDG_OK || status == TDG_E_CLOSED);
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
            status = tdg_writer_wait(writer, waiter.token, LONG);
            pthread_join(beside, NULL);
            if (status == TDG_OK) told = rows;
        }
        if (status == TDG_E_FULL) status = TDG_OK;
    }
    IS(status, TDG_E_CLOSED);
    atomic_fetch_add(&durable_rows, told);
    tdg_writer_free(writer);
    return NULL;
}

static uint64_t rows_accepted(void) {
    tdg_stats stats;
    OK(tdg_engine_stats(engine, &stats, sizeof stats));
    return stats.rows_accepted;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    engine = open_engine(argv[1], false);
    for (int i = 0; i < 4; i++) {
        char host[8];
        snprintf(host, sizeof host, "%d", i);
        shared[i] = new_series(engine, "shared", host);
    }
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, work, (void *)(intptr_t)i) == 0);
    while (rows_accepted() < 200000) sched_yield();
    OK(tdg_engine_close(engine, LONG, NULL));
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    /* What the test reads back must be all that was accepted, and at least what was told durable. */
    uint64_t accepted = rows_accepted();
    CHECK(accepted >= atomic_load(&durable_rows));
    tdg_engine_free(engine);
    printf("%llu\n", (unsigned long long)accepted);
    return 0;
}
