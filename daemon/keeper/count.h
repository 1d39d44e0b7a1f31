/*
 * Counts what users have of the shares that have a quota, and corrects their ledgers: when the
 * keeper starts, once a day, and when somebody asks. Nobody waits for it: a ledger that has changed
 * meanwhile is left as it is and counted another time. Logs.
 */
#pragma once

#include "daemon/config/config.h"

/* Whether the daemon wants the keeper to end. */
typedef bool (*count_stop)(void);

/* Counts the files beneath the root of one share. 0; 1: some ledgers changed meanwhile; -ECANCELED;
 * -errno. */
int count_share(int root, count_stop stop);

/* Counts the shares whose time has come. roots as in config->shares, -1: not open. */
void count_due(const struct config *config, const int *roots, count_stop stop);

/* Takes back what dead sessions had reserved, and notes what is to be counted soon. */
void count_reclaim(const struct config *config, const int *roots);

/* Whether there is anything to count at all, now or later. */
bool count_wanted(const struct config *config);
