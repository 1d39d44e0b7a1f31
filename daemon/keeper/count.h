/*
 * Counts what users have of a share that has a quota, and corrects their ledgers: when its keeper
 * starts, once a day, and when somebody asks. Nobody waits for it: a ledger that has changed
 * meanwhile is left as it is and counted another time. Logs.
 */
#pragma once

#include "daemon/config/config.h"

/* Whether the daemon wants the keeper to end. */
typedef bool (*count_stop)(void);

/* Counts the files beneath the root of a share. 0; 1: some ledgers changed meanwhile; -ECANCELED;
 * -errno. */
int count_share(int root, count_stop stop);

/* Counts the share if its time has come. */
void count_due(const struct config_share *share, int root, count_stop stop);

/* Takes back what dead sessions had reserved, and notes whether to count soon. */
void count_reclaim(const struct config_share *share, int root);

/* Whether there is anything to count, now or later. */
bool count_wanted(const struct config_share *share);
