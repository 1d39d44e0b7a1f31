/*
 * What a keeper answers about uploads that have not ended (daemon/common/partial.h): the
 * supervisor, which asks, opens no share. Logs nothing.
 */
#pragma once

#include "daemon/common/packet.h"

/* Answers one question through sock. root: of the share, or -errno: why it is not open. 0;
 * -EBADMSG: no question; -errno: the answer could not be sent. */
int uploads_answer(int sock, const struct packet_keeper *question, int root);
