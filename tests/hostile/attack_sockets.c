/* New sockets, and old ones used for what they are not there for. */
#include "tests/hostile/attack.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/filter.h>

#include "daemon/common/packet.h"
#include "lib/own.h"

/* A number whose lower half is the log socket's, which is all that the kernel looks at. */
#define LOG_IN_DISGUISE ((long)(UINT64_C(1) << 32 | ROLE_FD_LOG))

static struct sock_filter let_nothing_through = { .code = BPF_RET | BPF_K, .k = 0 };
static struct sock_fprog deaf = { .len = 1, .filter = &let_nothing_through };
static const int one = 1;

static int
send_message(long fd, int flags, void *to, size_t len, bool descriptor)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr first;
	} control = { .first = { .cmsg_level = SOL_SOCKET,
				 .cmsg_type = SCM_RIGHTS,
				 .cmsg_len = CMSG_LEN(sizeof(int)) } };
	struct iovec text = { .iov_base = (char[]){ "forged" }, .iov_len = 6 };
	struct msghdr m = {
		.msg_iov = &text, .msg_iovlen = 1, .msg_name = to, .msg_namelen = (socklen_t)len
	};
	long r;

	if (descriptor) {
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
	}
	r = syscall(SYS_sendmsg, fd, &m, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
	return r < 0 ? -errno : 0;
}

static struct sockaddr_un
local_of(const struct aim *a)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	memcpy(to.sun_path, a->path, strnlen(a->path, sizeof(to.sun_path) - 1));
	return to;
}

static int
message_to_a_name(const struct aim *a)
{
	struct sockaddr_un to = local_of(a);

	return send_message(ROLE_FD_LOG, 0, &to, sizeof(to), false);
}

static int
message_to_a_name_in_disguise(const struct aim *a)
{
	struct sockaddr_un to = local_of(a);

	return send_message(LOG_IN_DISGUISE, 0, &to, sizeof(to), false);
}

static int
message_with_descriptor_to_a_name(const struct aim *a)
{
	struct sockaddr_un to = local_of(a);

	return send_message(ROLE_FD_LOG, 0, &to, sizeof(to), true);
}

static int
connect_by_fast_open(const struct aim *a)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)a->port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	return send_message(a->connection, MSG_FASTOPEN, &to, sizeof(to), false);
}

static const struct attempt sockets[] = {
	{ "socket of TCP", SYS_socket, { AF_INET, SOCK_STREAM, 0 } },
	{ "socket of UDP", SYS_socket, { AF_INET6, SOCK_DGRAM, 0 } },
	{ "socket of Unix", SYS_socket, { AF_UNIX, SOCK_STREAM, 0 } },
	{ "socket of netlink", SYS_socket, { AF_NETLINK, SOCK_RAW, 0 } },
	{ "socket of packets", SYS_socket, { AF_PACKET, SOCK_RAW, 0 } },
	{ "socket of the kernel's ciphers", SYS_socket, { AF_ALG, SOCK_SEQPACKET, 0 } },
	{ "socket of the host", SYS_socket, { AF_VSOCK, SOCK_STREAM, 0 } },
	{ "socketpair", SYS_socketpair, { AF_UNIX, SOCK_STREAM, 0, AIM_SCRATCH } },
	{ "connect", SYS_connect, { AIM_CONNECTION, AIM_INTERNET, sizeof(struct sockaddr_in) } },
	{ "connect of the log socket",
	  SYS_connect,
	  { AIM_LOG, AIM_UNIX, sizeof(struct sockaddr_un) } },
	{ "connect by fast open", .run = connect_by_fast_open },
	{ "bind", SYS_bind, { AIM_CONNECTION, AIM_INTERNET, sizeof(struct sockaddr_in) } },
	{ "bind of the log socket", SYS_bind, { AIM_LOG, AIM_UNIX, 2 } },
	{ "listen", SYS_listen, { AIM_CONNECTION, 1 } },
	{ "accept4", SYS_accept4, { AIM_CONNECTION, 0, 0, 0 } },
	{ "sendto to a name",
	  SYS_sendto,
	  { AIM_LOG, AIM_SCRATCH, 8, MSG_DONTWAIT, AIM_UNIX, sizeof(struct sockaddr_un) } },
	{ "sendto to a name in disguise",
	  SYS_sendto,
	  { LOG_IN_DISGUISE, AIM_SCRATCH, 8, MSG_DONTWAIT, AIM_UNIX, sizeof(struct sockaddr_un) } },
	{ "sendmsg to a name", .run = message_to_a_name },
	{ "sendmsg to a name in disguise", .run = message_to_a_name_in_disguise },
	{ "sendmsg of a descriptor to a name", .run = message_with_descriptor_to_a_name },
	{ "sendmmsg", SYS_sendmmsg, { AIM_LOG, AIM_SCRATCH, 1, 0 } },
	{ "recvmmsg", SYS_recvmmsg, { AIM_CONNECTION, AIM_SCRATCH, 1, MSG_DONTWAIT, 0 } },
	{ "recvmsg", SYS_recvmsg, { AIM_CONNECTION, AIM_SCRATCH, MSG_DONTWAIT } },
	{ "setsockopt to make the log small",
	  SYS_setsockopt,
	  { AIM_LOG, SOL_SOCKET, SO_SNDBUF, (long)&one, sizeof(one) } },
	{ "setsockopt to make the log small, in disguise",
	  SYS_setsockopt,
	  { LOG_IN_DISGUISE, SOL_SOCKET, SO_SNDBUF, (long)&one, sizeof(one) } },
	{ "setsockopt of a filter on the log",
	  SYS_setsockopt,
	  { AIM_LOG, SOL_SOCKET, SO_ATTACH_FILTER, (long)&deaf, sizeof(deaf) } },
	{ "setsockopt to answer for others",
	  SYS_setsockopt,
	  { AIM_CONNECTION, IPPROTO_IP, IP_TRANSPARENT, (long)&one, sizeof(one) } },
	{ "setsockopt to repair",
	  SYS_setsockopt,
	  { AIM_CONNECTION, IPPROTO_TCP, TCP_REPAIR, (long)&one, sizeof(one) } },
	{ "setsockopt to mark",
	  SYS_setsockopt,
	  { AIM_CONNECTION, SOL_SOCKET, SO_MARK, (long)&one, sizeof(one) } },
	{ "dup", SYS_dup, { AIM_CONNECTION } },
	{ "dup3", SYS_dup3, { AIM_CONNECTION, 99, 0 } },
	{ "fcntl to duplicate", SYS_fcntl, { AIM_CONNECTION, F_DUPFD, 0 } },
	{ "ioctl", SYS_ioctl, { AIM_CONNECTION, FIONREAD, AIM_SCRATCH } },
	{ "ioctl to direct SIGIO", SYS_ioctl, { AIM_CONNECTION, FIOSETOWN, AIM_SCRATCH } },
	/* last: what would end the log of all */
	{ "shutdown of the log socket", SYS_shutdown, { AIM_LOG, SHUT_RDWR } },
	{ "shutdown of the log socket in disguise", SYS_shutdown, { LOG_IN_DISGUISE, SHUT_RDWR } },
};
const struct attempts attack_sockets = { "sockets", sockets, ARRAY_SIZE(sockets) };
