/*
 * What the keeper answers about the file system at its share root: as its name leads there now,
 * which may be elsewhere than what the keeper has open. Logs nothing.
 */
#pragma once

#include "daemon/common/packet.h"
#include "daemon/config/config.h"

/* Answers a KEEPER_DISK through sock. 0; -errno: the answer could not be sent. */
int disk_answer(int sock, const struct packet_keeper *question, const struct config_share *share);
