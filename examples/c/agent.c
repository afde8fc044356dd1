/*
 * An agent: samples /proc into a data directory.
 *
 *     agent DIRECTORY [SAMPLES [INTERVAL_MS]]     10 samples a second apart, unless said otherwise
 *
 * Each sample is a few rows of one time. The agent never waits for the disk: rows become durable by themselves within
 * the commit interval, and when it ends it waits for the last of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <tidegate.h>

#define SECOND INT64_C(1000000000)

/* Gives up, with what went wrong. */
static void fail(const char *what, tdg_status status, tdg_error *error) {
    tdg_str message = tdg_error_message(error);
    fprintf(stderr, "agent: %s: %s %.*s\n", what, tdg_status_text(status), (int)message.len, message.ptr);
    exit(1);
}

static tdg_series series_of(tdg_engine *engine, const char *name, const char *cpu) {
    tdg_label label = {TDG_STR("cpu"), TDG_CSTR(cpu)};
    tdg_series series;
    tdg_error *error = NULL;
    tdg_status failed = tdg_engine_series(engine, TDG_CSTR(name), &label, *cpu ? 1 : 0, &series, &error);
    if (failed) fail(name, failed, error);
    return series;
}

/* A row that finds no room is dropped: the next sample is as good. */
static void push(tdg_writer *writer, tdg_series series, int64_t time_ns, const tdg_field *fields, size_t count) {
    tdg_status failed = tdg_writer_push_row(writer, series, time_ns, fields, count);
    if (failed && failed != TDG_E_FULL) fail("push", failed, NULL);
}

static void sample_load(tdg_writer *writer, tdg_series series, int64_t time_ns) {
    double one, five, fifteen;
    FILE *file = fopen("/proc/loadavg", "r");
    if (file && fscanf(file, "%lf %lf %lf", &one, &five, &fifteen) == 3) {
        tdg_field fields[] = {{TDG_STR("one"), {.f64 = one}, TDG_F64},
                              {TDG_STR("five"), {.f64 = five}, TDG_F64},
                              {TDG_STR("fifteen"), {.f64 = fifteen}, TDG_F64}};
        push(writer, series, time_ns, fields, 3);
    }
    if (file) fclose(file);
}

static void sample_memory(tdg_writer *writer, tdg_series series, int64_t time_ns) {
    char name[64];
    unsigned long long kib, total = 0, available = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    while (file && fscanf(file, "%63[^:]: %llu%*[^\n]\n", name, &kib) == 2) {
        if (strcmp(name, "MemTotal") == 0) total = kib;
        if (strcmp(name, "MemAvailable") == 0) available = kib;
    }
    if (file) fclose(file);
    tdg_field fields[] = {{TDG_STR("total_bytes"), {.u64 = total * 1024}, TDG_U64},
                          {TDG_STR("available_bytes"), {.u64 = available * 1024}, TDG_U64}};
    push(writer, series, time_ns, fields, 2);
}

enum { CPUS_MAX = 256 };

static void sample_cpus(tdg_engine *engine, tdg_writer *writer, int64_t time_ns) {
    /* Registered when they are first seen, and used ever after. */
    static tdg_series cpus[CPUS_MAX];
    char name[16], line[512];
    unsigned long long user, nice, system, idle;
    FILE *file = fopen("/proc/stat", "r");
    for (int i = 0; file && i < CPUS_MAX && fgets(line, sizeof line, file); i++) {
        if (sscanf(line, "%15s %llu %llu %llu %llu", name, &user, &nice, &system, &idle) != 5) break;
        if (strncmp(name, "cpu", 3) != 0) break;
        if (!cpus[i]) cpus[i] = series_of(engine, "cpu", name[3] ? name + 3 : "all");
        tdg_field fields[] = {{TDG_STR("user"), {.u64 = user + nice}, TDG_U64},
                              {TDG_STR("system"), {.u64 = system}, TDG_U64},
                              {TDG_STR("idle"), {.u64 = idle}, TDG_U64}};
        push(writer, cpus[i], time_ns, fields, 3);
    }
    if (file) fclose(file);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: agent DIRECTORY [SAMPLES [INTERVAL_MS]]\n");
        return 2;
    }
    int samples = argc > 2 ? atoi(argv[2]) : 10;
    long interval_ms = argc > 3 ? atol(argv[3]) : 1000;
    tdg_engine *engine = NULL;
    tdg_writer *writer = NULL;
    tdg_error *error = NULL;
    tdg_options *options = tdg_options_new();
    tdg_status failed = tdg_options_set(options, TDG_STR("data.directory"), TDG_CSTR(argv[1]), &error);
    if (!failed) failed = tdg_engine_open(options, &engine, &error);
    if (!failed) failed = tdg_writer_new(engine, &writer, &error);
    if (failed) fail(argv[1], failed, error);
    tdg_options_free(options);
    /* An agent that falls behind drops samples rather than stand still. */
    tdg_writer_set_full_wait(writer, 0);

    tdg_series load = series_of(engine, "load", ""), memory = series_of(engine, "memory", "");
    for (int i = 0; i < samples; i++) {
        struct timespec now, pause = {interval_ms / 1000, interval_ms % 1000 * 1000000};
        clock_gettime(CLOCK_REALTIME, &now);
        int64_t time_ns = now.tv_sec * SECOND + now.tv_nsec;
        sample_load(writer, load, time_ns);
        sample_memory(writer, memory, time_ns);
        sample_cpus(engine, writer, time_ns);
        nanosleep(&pause, NULL);
    }

    tdg_token token;
    failed = tdg_writer_flush(writer, &token);
    if (!failed) failed = tdg_writer_wait(writer, token, 10 * SECOND);
    if (failed) fail("flush", failed, NULL);
    tdg_writer_free(writer);
    failed = tdg_engine_close(engine, 10 * SECOND, &error);
    if (failed) fail("close", failed, error);
    tdg_engine_free(engine);
    return 0;
}
