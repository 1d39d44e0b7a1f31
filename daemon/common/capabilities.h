/*
 * Capabilities, where users have uids of their own (systemd/own-uids.conf): only sessionhouses may
 * change the uid, and only the supervisor may signal processes of others. For daemons that were not
 * started as root: root that stays root has them all, root that goes over to run_as gives them up
 * (creds.h). capabilities(7). No logging.
 */
#pragma once

/* For the supervisor: what it signals with stays in force, what becomes another user is only kept
 * to be handed on, the rest goes. 1: it had them all; 0: not, and so has none; -errno. */
int capabilities_keep(void);

/* The program that this process executes next may become other users. 0 or -errno. */
int capabilities_hand_on(void);

/* The program that this process executes next has what capabilities_keep() left. 0 or -errno. */
int capabilities_carry(void);

/* Gives up all of them. 0 or -errno. */
int capabilities_drop(void);
