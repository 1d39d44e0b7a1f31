/* What a client says to a session and hears from it; each of them fails the test that is not so. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "tests/role/host.h"

extern int root; /* the share's directory */
int talk_make_root(void **state);
int talk_remove_root(void **state);

/* Queues a frame (stolen). */
void put(struct host *h, json_t *frame);
void put_upload(struct host *h, const char *name, const void *body, size_t len);
/* The next frame that is no sign of life: a slow disk is no failure. The caller owns it. */
json_t *get(struct host *h);
/* The next frame, whatever it is; the caller owns it. */
json_t *get_any(struct host *h);
void assert_text(const json_t *frame, const char *key, const char *value);
void expect_status(struct host *h, const char *status);
void expect_code(struct host *h, const char *code);
void expect_ping(struct host *h);
/* The server closes, the session ends well. */
void expect_end(struct host *h);

void assert_content(const char *name, const void *body, size_t len);
void assert_missing(const char *name);
/* Nothing is left in .ftd/staging. */
void assert_no_orphan(void);
/* Always the same; the caller frees. */
uint8_t *random_bytes(size_t n);
