/*
 * Preloaded into NetworkManager: a veth has no permanent MAC, which much of its configuration matches on. Where a link
 * has none, it is told the one that there is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

int ioctl(int fd, unsigned long request, ...) {
  static int (*real)(int, unsigned long, ...);
  if (real == NULL) real = dlsym(RTLD_NEXT, "ioctl");
  va_list list;
  va_start(list, request);
  void *argument = va_arg(list, void *);
  va_end(list);
  int result = real(fd, request, argument);
  if (request != SIOCETHTOOL) return result;
  struct ifreq *asked = argument;
  struct ethtool_perm_addr *answer = (void *)asked->ifr_data;
  if (answer->cmd != ETHTOOL_GPERMADDR) return result;
  struct ifreq link = {0};
  memcpy(link.ifr_name, asked->ifr_name, IFNAMSIZ);
  if (real(fd, SIOCGIFHWADDR, &link) != 0) return result;
  answer->size = 6;
  memcpy(answer->data, link.ifr_hwaddr.sa_data, 6);
  return 0;
}
