/*
 * What makes uploads durable, one step for many: first all contents, and after the renames all
 * directories (doc/ARCHITECTURE.md, promise 2). For publish.c.
 */
#pragma once

#include "daemon/session/session.h"

/* What is done for an upload: what the share says, or more where a later commit could not make up
 * for it. */
enum config_durability sync_durability(const struct session *s, const struct publish *p);
const char *sync_durability_name(enum config_durability d);

/* The contents of the n files; results[i] becomes negative where it failed, and says before what is
 * not to be synced any more. */
void sync_contents(struct session *s, struct publish *p, size_t n, int *results);

/* The directories that got the names. */
void sync_directories(struct session *s, struct publish *p, size_t n, int *results);

/* Whether syncfs(2) can be trusted with what lies on the descriptor's file system. */
bool sync_is_whole(int fd);
