/*
 * tidegate.h: metrics and events from your process into a durable log.
 *
 * (to be written)
 */

#ifndef TIDEGATE_H
#define TIDEGATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The version that this header is of; `tdg_version` has the linked library's. */
#define TDG_VERSION_MAJOR 0
#define TDG_VERSION_MINOR 1
#define TDG_VERSION_PATCH 0
#define TDG_VERSION "0.1.0"

/*
 * A `tdg_str` of a string literal, and one of a C string, which is looked at twice.
 */
#ifdef __cplusplus
#define TDG_STR(literal) (tdg_str{("" literal), sizeof(literal) - 1})
#define TDG_CSTR(string) (tdg_str{(string), strlen(string)})
#else
#define TDG_STR(literal) ((tdg_str){("" literal), sizeof(literal) - 1})
#define TDG_CSTR(string) ((tdg_str){(string), strlen(string)})
#endif

/**
 * The version of this ABI. Within one version calls, statuses and fields are only added.
 */
#define TDG_ABI 1

/**
 * It is done.
 */
#define TDG_OK 0

/**
 * A pointer is NULL that may not be.
 */
#define TDG_E_NULL 1

/**
 * The caller's to mend: text that is no UTF-8, two labels of one name, a length or number that cannot be, a series or
 * token that is none.
 */
#define TDG_E_INPUT 2

/**
 * Of a body, some rows were rejected. The others are taken.
 */
#define TDG_E_REJECTED 3

/**
 * A bound that was configured, or is the format's: too many series, too large a row. The row will not be taken later.
 */
#define TDG_E_LIMIT 4

/**
 * The engine has no room, and the wait for some is over. Nothing of the row was taken: push it again later.
 */
#define TDG_E_FULL 5

/**
 * The time is over. What was waited for may still come.
 */
#define TDG_E_TIMEOUT 6

/**
 * A commit failed: each of the rows will be found on disk, or not.
 */
#define TDG_E_IN_DOUBT 7

/**
 * The engine is closed, or closing.
 */
#define TDG_E_CLOSED 8

/**
 * An option is not known, or its value is not understood.
 */
#define TDG_E_CONFIG 9

/**
 * Another process, or another engine of this one, has the data directory open.
 */
#define TDG_E_LOCKED 10

/**
 * The operating system refused: the error's message says what.
 */
#define TDG_E_IO 11

/**
 * What is on disk is not what was written there.
 */
#define TDG_E_CORRUPT 12

/**
 * The directory was written by a newer version, or is no data directory.
 */
#define TDG_E_INCOMPATIBLE 13

/**
 * This process was forked from the one that made the handle. Free it; everything else is the parent's.
 */
#define TDG_E_FORKED 14

/**
 * A panic struck this handle before. Free it. What was durable stays so.
 */
#define TDG_E_POISONED 15

/**
 * A panic struck during this call: a bug of tidegate's, whose message stands on stderr. The handle is poisoned.
 */
#define TDG_E_INTERNAL 16

/**
 * As a time: the system's clock at the call.
 */
#define TDG_TIME_NOW (-9223372036854775807 - 1)

/**
 * An engine on a data directory.
 *
 * Threads: any, at once. Freeing it is the end of that: no call on it may be under way, or come later.
 */
typedef struct tdg_engine tdg_engine;

/**
 * What went wrong with a call, in words. Given to whoever passed a place for it, and freed by `tdg_error_free`.
 *
 * Threads: any, one at a time.
 */
typedef struct tdg_error tdg_error;

/**
 * What an engine is told when it is opened. One set of options may open several engines.
 *
 * Threads: one at a time.
 */
typedef struct tdg_options tdg_options;

/**
 * A thread's way into an engine: as many as there are threads. Cheap, also while it is idle.
 *
 * Rows lie in the writer until it is flushed, its batch is full, or the commit interval is over, whichever comes first;
 * for the last of these it needs no call.
 *
 * Threads: one at a time. `tdg_writer_wait` alone may be called by any thread at any time before the writer is freed.
 */
typedef struct tdg_writer tdg_writer;

/**
 * What a call gives back: `TDG_OK`, or one of the `TDG_E_` numbers, which are never changed and never reused.
 */
typedef int32_t tdg_status;

/**
 * Text or bytes: a pointer and a length, not terminated. Borrowed for the call, unless its giver says otherwise. NULL
 * with length 0 is the empty string.
 */
typedef struct {
    /**
     * The first byte.
     */
    const char *ptr;
    /**
     * How many bytes.
     */
    size_t len;
} tdg_str;

/**
 * A label of a series: its name and its value, both UTF-8.
 */
typedef struct {
    /**
     * The name; not empty.
     */
    tdg_str name;
    /**
     * The value.
     */
    tdg_str value;
} tdg_label;

/**
 * A registered series: a number, good for every writer of the engine that gave it, until it is released. Never 0.
 */
typedef uint64_t tdg_series;

/**
 * Stands for the rows that one flush handed over. Later tokens of a writer are greater, or the same if no row came
 * between.
 */
typedef uint64_t tdg_token;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The ABI that the linked library has: at least the header's `TDG_ABI`, or it must not be used.
 */
uint32_t tdg_abi_version(void);

/**
 * The linked library's version, such as "0.1.0", as a C string of static lifetime.
 */
const char *tdg_version(void);

/**
 * A status in words, as a C string of static lifetime. Any number may be asked for.
 */
const char *tdg_status_text(tdg_status status);

/**
 * The status that the failed call gave. `TDG_OK` for NULL.
 */
tdg_status tdg_error_status(const tdg_error *error);

/**
 * The message, for a person, in one line or a few. Valid until the error is freed; empty for NULL.
 */
tdg_str tdg_error_message(const tdg_error *error);

/**
 * Whether rows may be on disk all the same: who sends them again may have them twice, who does not may lack them.
 */
bool tdg_error_in_doubt(const tdg_error *error);

/**
 * Frees an error. NULL is fine.
 */
void tdg_error_free(tdg_error *error);

/**
 * Options with their defaults; the data directory is still to be named. NULL only if there is no memory.
 */
tdg_options *tdg_options_new(void);

/**
 * Sets an option. Keys and values are those of the configuration file, sections and keys joined by a dot:
 *
 * | key | value | default |
 * |---|---|---|
 * | `data.directory` | a path; made if it is missing | none: it must be set |
 * | `data.retention` | how long rows are kept, as `15d`; `0` for ever | `15d` |
 * | `data.retention_size` | how many bytes are kept, as `10GiB`; `0` for any | `0` |
 * | `data.free_space_min` | the share of the file system that is kept free | `5%` |
 * | `data.commit_linger` | how long rows wait for company that somebody waits for | `2ms` |
 * | `data.commit_interval` | how long rows wait that nobody waits for | `200ms` |
 * | `data.commits_per_second_max` | a cap on commits; `0` is none | `0` |
 * | `data.disk` | `auto`, `io_uring` or `threads` | `auto` |
 * | `limits.series_max` | series at one time | `10000000` |
 * | `workers` | threads that encode and commit | `1` |
 * | `writer.full_wait` | how long a call may wait for room before it gives `TDG_E_FULL`; `0` not at all | `1s` |
 *
 * Errors: `TDG_E_CONFIG` for a key that is not known or a value that is not understood; the message says which.
 */
tdg_status tdg_options_set(tdg_options *options,
                           tdg_str key,
                           tdg_str value,
                           tdg_error **error);

/**
 * Frees options. NULL is fine.
 */
void tdg_options_free(tdg_options *options);

/**
 * Opens a data directory and starts the engine's threads. What an earlier process left unfinished is recovered.
 *
 * `options` is borrowed for the call. `engine` gets a handle that the caller owns, for `tdg_engine_free`.
 *
 * Errors: `TDG_E_LOCKED` if another engine has the directory open, in this process or another; `TDG_E_CONFIG` if
 * options do not go together or no directory is named; `TDG_E_INCOMPATIBLE`, `TDG_E_IO`.
 */
tdg_status tdg_engine_open(const tdg_options *options,
                           tdg_engine **engine,
                           tdg_error **error);

/**
 * Takes in what writers have pushed, commits it, seals the log and ends the engine's threads; waits for that at most
 * `timeout_ns` (-1: for ever). From its start on writers get `TDG_E_CLOSED`. The directory is free when it gave `TDG_OK`.
 *
 * Errors: `TDG_E_TIMEOUT` if it is not done yet: it goes on, and the call may be repeated; `TDG_E_CLOSED` if it was
 * closed before; `TDG_E_POISONED` if a thread of the engine had panicked; `TDG_E_IO`. What was told durable is so in
 * any case.
 */
tdg_status tdg_engine_close(tdg_engine *engine,
                            int64_t timeout_ns,
                            tdg_error **error);

/**
 * Frees an engine. One that was not closed is closed first, within ten seconds. Writers may outlive it: they get
 * `TDG_E_CLOSED`. NULL is fine. In a forked child it frees nothing but what the child may touch.
 */
void tdg_engine_free(tdg_engine *engine);

/**
 * Makes a series known, once, by its name and labels, in any order. Its rows are then pushed by the number that
 * `series` gets, by any writer of this engine. The same name and labels give the same number, and it stays good whatever
 * becomes of segments and tables.
 *
 * `name` is the metric's or measurement's, and becomes the label `__name__`; it may be empty. All is borrowed for
 * the call.
 *
 * Errors: `TDG_E_INPUT` for two labels of one name, a label without a name, or text that is no UTF-8; `TDG_E_LIMIT`
 * if `limits.series_max` are registered; `TDG_E_CLOSED` never: series of a closed engine may be registered and released.
 */
tdg_status tdg_engine_series(tdg_engine *engine,
                             tdg_str name,
                             const tdg_label *labels,
                             size_t labels_len,
                             tdg_series *series,
                             tdg_error **error);

/**
 * Takes a registration back, when what the series is about has gone. When it was released as often as it was
 * registered its number means nothing any more: pushing by it gives `TDG_E_INPUT`. Rows pushed before stay.
 *
 * Errors: `TDG_E_INPUT` if the number is no series of this engine.
 */
tdg_status tdg_engine_release(tdg_engine *engine,
                              tdg_series series);

/**
 * Makes a writer of an engine. `writer` gets a handle that the caller owns, for `tdg_writer_free`.
 *
 * Errors: `TDG_E_CLOSED`, `TDG_E_POISONED`.
 */
tdg_status tdg_writer_new(tdg_engine *engine, tdg_writer **writer, tdg_error **error);

/**
 * Frees a writer. Rows that it was given and that were not flushed, nor taken by the engine for their age, are
 * discarded, and counted in `rows_discarded`. NULL is fine.
 */
void tdg_writer_free(tdg_writer *writer);

/**
 * How long this writer's calls may wait for room, in nanoseconds (-1: for ever), in the place of the engine's
 * `writer.full_wait`. With 0 none waits, and a call that finds no room gives `TDG_E_FULL` at once.
 */
tdg_status tdg_writer_set_full_wait(tdg_writer *writer,
                                    int64_t full_wait_ns);

/**
 * Pushes a sample: a row whose only field is the float `value`. `time_ns` is nanoseconds since the Unix epoch, or
 * `TDG_TIME_NOW`. Every bit of `value` is kept, a NaN's too.
 *
 * Errors: `TDG_E_FULL` after at most the writer's wait for room; `TDG_E_INPUT` if the series is none; `TDG_E_LIMIT`,
 * `TDG_E_CLOSED`, `TDG_E_POISONED`. The row was not taken then.
 */
tdg_status tdg_writer_push(tdg_writer *writer,
                           tdg_series series,
                           int64_t time_ns,
                           double value);

/**
 * Pushes samples of one series: `len` times and as many values. `taken`, which may be NULL, gets how many were taken,
 * from the first on: all of them with `TDG_OK`, and a part of them also otherwise.
 *
 * Errors: as of `tdg_writer_push`, for the first sample that was not taken.
 */
tdg_status tdg_writer_push_times(tdg_writer *writer,
                                 tdg_series series,
                                 const int64_t *times_ns,
                                 const double *values,
                                 size_t len,
                                 size_t *taken);

/**
 * Pushes samples of one time: one for each of `len` series and values. `taken` as of `tdg_writer_push_times`.
 *
 * Errors: as of `tdg_writer_push`, for the first sample that was not taken.
 */
tdg_status tdg_writer_push_series(tdg_writer *writer,
                                  const tdg_series *series,
                                  int64_t time_ns,
                                  const double *values,
                                  size_t len,
                                  size_t *taken);

/**
 * Hands over what was pushed, to be committed at once; waits for nothing. `token`, which may be NULL, gets a token that
 * stands for all rows since the last flush that had any.
 *
 * Errors: `TDG_E_CLOSED`, `TDG_E_POISONED`.
 */
tdg_status tdg_writer_flush(tdg_writer *writer,
                            tdg_token *token);

/**
 * Waits until the rows of a token are on stable storage, at most `timeout_ns`: 0 asks and does not wait, -1 waits for
 * ever. Any thread may wait, while others do and while the writer's own pushes on.
 *
 * Errors: `TDG_E_TIMEOUT` if they are not yet; `TDG_E_IN_DOUBT` if a commit failed: each of the rows is on disk, or
 * not; `TDG_E_CLOSED` if the engine ended first: as in doubt; `TDG_E_INPUT` if the writer gave no such token.
 */
tdg_status tdg_writer_wait(const tdg_writer *writer,
                           tdg_token token,
                           int64_t timeout_ns);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TIDEGATE_H */
