/*
 * What the keeper answers about uploads that have not ended (daemon/common/partial.h): the
 * supervisor, which asks, opens no share. Logs nothing.
 */
#pragma once

#include "daemon/common/packet.h"
#include "daemon/config/config.h"

/* Answers one question through sock. roots as in config->shares; -errno: why not. 0; -EBADMSG: no
 * question; -errno: the answer could not be sent. */
int uploads_answer(int sock, const struct packet_keeper *question, const struct config *config,
		   const int *roots);
