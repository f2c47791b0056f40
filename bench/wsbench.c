// wsbench: fast OCPP-ish WebSocket echo upstream + TLS load generator (epoll, OpenSSL).
//   wsbench echo  PORT
//   wsbench load  key=value ...   (see opt() below)
//   wsbench churn key=value ...   connect+TLS+upgrade+close loop, THREADS blocking threads, for dur seconds
//                                 or, with max=N, N attempts a thread
// Protocol of "load": connects everything, prints READY. Each line "go key=value ..." on stdin runs one round on the
// same connections (what the line says wins over the command line) and is answered with one JSON line once every call
// of the round has its result. Ends with stdin.
//   n       connections             rate    calls per second in all, in turn; 0: each sends the next when it has a result
//   active  of these, how many send dur/max seconds or results after which a round ends
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}
static void die(const char *m) {
  perror(m);
  ERR_print_errors_fp(stderr);
  exit(1);
}
static void nb(int fd) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}
static void nodelay(int fd) {
  int o = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &o, sizeof o);
}

/* ------------------------------------------------------------------ echo */
typedef struct {
  int fd, up;
  size_t n, cap;
  unsigned char *b;
} EC;
static void wr(int fd, const unsigned char *p, size_t n) {
  while (n) {
    ssize_t r = write(fd, p, n);
    if (r < 0) {
      if (errno == EAGAIN) {
        usleep(50);
        continue;
      }
      return;
    }
    p += r;
    n -= r;
  }
}
static size_t mkhdr(unsigned char *h, int op, size_t n) {
  h[0] = 0x80 | op;
  if (n < 126) {
    h[1] = n;
    return 2;
  }
  h[1] = 126;
  h[2] = n >> 8;
  h[3] = n;
  return 4;
}
static int echo_frame(EC *c) {
  if (c->n < 2)
    return 0;
  unsigned char *b = c->b;
  size_t len = b[1] & 127, off = 2;
  if (len == 126) {
    if (c->n < 4)
      return 0;
    len = b[2] << 8 | b[3];
    off = 4;
  } else if (len == 127) {
    if (c->n < 10)
      return 0;
    len = 0;
    for (int i = 0; i < 8; i++)
      len = len << 8 | b[2 + i];
    off = 10;
  }
  unsigned char *mk = b + off;
  int masked = b[1] >> 7;
  if (masked)
    off += 4;
  if (c->n < off + len)
    return 0;
  unsigned char *p = b + off;
  if (masked)
    for (size_t i = 0; i < len; i++)
      p[i] ^= mk[i & 3];
  int op = b[0] & 15;
  unsigned char out[70000];
  if (op == 1) {
    size_t m;
    if (len > 4 && !memcmp(p, "[2,", 3)) {
      unsigned char *q = memchr(p, '"', len), *e = q ? memchr(q + 1, '"', len - (q + 1 - p)) : 0;
      if (!e) {
        q = p;
        e = p - 1;
      }
      unsigned char body[512];
      // Only Heartbeat has something in its result; StatusNotification and MeterValues have an empty one.
      int heartbeat = len > (size_t)(e - p) + 12 && !memcmp(e + 1, ",\"Heartbeat\"", 12);
      m = snprintf((char *)body, sizeof body, "[3,%.*s,%s]", (int)(e - q + 1), q,
                   heartbeat ? "{\"currentTime\":\"2026-11-22T10:00:00.000Z\"}" : "{}");
      size_t h = mkhdr(out, 1, m);
      memcpy(out + h, body, m);
      wr(c->fd, out, h + m);
    } else if (len > 4 && !memcmp(p, "[3,", 3)) { /* result of a call we made: ignore */
    } else {
      size_t h = mkhdr(out, 1, len < 60000 ? len : 60000);
      memcpy(out + h, p, len < 60000 ? len : 60000);
      wr(c->fd, out, h + (len < 60000 ? len : 60000));
    }
  } else if (op == 9) {
    size_t h = mkhdr(out, 10, len);
    memcpy(out + h, p, len);
    wr(c->fd, out, h + len);
  } else if (op == 8) {
    size_t h = mkhdr(out, 8, len);
    memcpy(out + h, p, len);
    wr(c->fd, out, h + len);
    return -1;
  }
  memmove(b, b + off + len, c->n - off - len);
  c->n -= off + len;
  return 1;
}
static int echo_http(EC *c) {
  c->b[c->n] = 0;
  char *e = strstr((char *)c->b, "\r\n\r\n");
  if (!e)
    return 0;
  char *k = strcasestr((char *)c->b, "sec-websocket-key:");
  if (!k)
    return -1;
  k += 18;
  while (*k == ' ')
    k++;
  char tmp[128];
  int i = 0;
  while (k[i] != '\r' && i < 60) {
    tmp[i] = k[i];
    i++;
  }
  strcpy(tmp + i, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
  unsigned char d[20];
  char acc[64];
  SHA1((unsigned char *)tmp, strlen(tmp), d);
  EVP_EncodeBlock((unsigned char *)acc, d, 20);
  char sp[128] = "";
  char *s = strcasestr((char *)c->b, "sec-websocket-protocol:");
  if (s && s < e) {
    s += 23;
    while (*s == ' ')
      s++;
    int j = 0;
    char v[64];
    while (s[j] != '\r' && s[j] != ',' && j < 60) {
      v[j] = s[j];
      j++;
    }
    v[j] = 0;
    snprintf(sp, sizeof sp, "Sec-WebSocket-Protocol: %s\r\n", v);
  }
  char r[512];
  int n = snprintf(r, sizeof r,
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                   "Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
                   acc, sp);
  wr(c->fd, (unsigned char *)r, n);
  size_t used = (e + 4) - (char *)c->b;
  memmove(c->b, c->b + used, c->n - used);
  c->n -= used;
  c->up = 1;
  return 1;
}
static int echo_main(int port) {
  int s = socket(AF_INET, SOCK_STREAM, 0), o = 1;
  setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &o, sizeof o);
  struct sockaddr_in a = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  if (bind(s, (void *)&a, sizeof a) || listen(s, 4096))
    die("bind");
  nb(s);
  int ep = epoll_create1(0);
  struct epoll_event ev = {.events = EPOLLIN, .data.ptr = 0};
  epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev);
  struct epoll_event evs[512];
  for (;;) {
    int n = epoll_wait(ep, evs, 512, -1);
    for (int i = 0; i < n; i++) {
      if (!evs[i].data.ptr) {
        int f;
        while ((f = accept4(s, 0, 0, SOCK_NONBLOCK)) >= 0) {
          nodelay(f);
          EC *c = calloc(1, sizeof *c);
          c->fd = f;
          c->cap = 2048;
          c->b = malloc(c->cap + 1);
          ev.events = EPOLLIN;
          ev.data.ptr = c;
          epoll_ctl(ep, EPOLL_CTL_ADD, f, &ev);
        }
        continue;
      }
      EC *c = evs[i].data.ptr;
      if (c->n >= c->cap) {
        c->cap *= 2;
        c->b = realloc(c->b, c->cap + 1);
      }
      ssize_t r = read(c->fd, c->b + c->n, c->cap - c->n);
      int bad = 0;
      if (r <= 0) {
        if (r < 0 && errno == EAGAIN)
          continue;
        bad = 1;
      } else {
        c->n += r;
        int q;
        if (!c->up) {
          q = echo_http(c);
          if (q < 0)
            bad = 1;
        }
        if (c->up && !bad)
          while ((q = echo_frame(c)) != 0)
            if (q < 0) {
              bad = 1;
              break;
            }
      }
      if (bad) {
        close(c->fd);
        free(c->b);
        free(c);
      }
    }
  }
}
/* ------------------------------------------------------------------ load */
static char *g_argv[64], *r_argv[16];
static int g_argc, r_argc;
static const char *opt(const char *k, const char *d) {
  size_t n = strlen(k);
  for (int i = 0; i < r_argc; i++)
    if (!strncmp(r_argv[i], k, n) && r_argv[i][n] == '=')
      return r_argv[i] + n + 1;
  for (int i = 0; i < g_argc; i++)
    if (!strncmp(g_argv[i], k, n) && g_argv[i][n] == '=')
      return g_argv[i] + n + 1;
  return d;
}
static SSL_CTX *mkctx(void) {
  SSL_CTX *x = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_verify(x, SSL_VERIFY_NONE, 0);
  const char *crt = opt("cert", "");
  if (*crt) {
    if (SSL_CTX_use_certificate_chain_file(x, crt) != 1 ||
        SSL_CTX_use_PrivateKey_file(x, opt("key", ""), SSL_FILETYPE_PEM) != 1)
      die("cert");
  }
  if (!strcmp(opt("tlsver", "1.3"), "1.2"))
    SSL_CTX_set_max_proto_version(x, TLS1_2_VERSION);
  else
    SSL_CTX_set_min_proto_version(x, TLS1_3_VERSION);
  const char *ci = opt("suites", "");
  if (*ci)
    SSL_CTX_set_ciphersuites(x, ci);
  SSL_CTX_set_session_cache_mode(x, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_set_mode(x, SSL_MODE_RELEASE_BUFFERS);
  return x;
}
static void own_cert(SSL *s, int i) {
  const char *d = opt("certs", "");
  if (!*d)
    return;
  char p[512];
  snprintf(p, sizeof p, "%s/CP%05d.pem", d, i);
  if (SSL_use_certificate_file(s, p, SSL_FILETYPE_PEM) != 1 ||
      SSL_use_PrivateKey_file(s, p, SSL_FILETYPE_PEM) != 1)
    die(p);
}
typedef struct {
  int fd;
  SSL *s;
  size_t n, cap;
  unsigned char *b;
  double t0;
  int k, busy;
} LC;
static int dial(int port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in a = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  if (connect(fd, (void *)&a, sizeof a)) {
    close(fd);
    return -1;
  }
  nodelay(fd);
  return fd;
}
static int xw(LC *c, const void *p, int n) {
  return c->s ? SSL_write(c->s, p, n) : write(c->fd, p, n);
}
static int xr(LC *c, void *p, int n) {
  return c->s ? SSL_read(c->s, p, n) : read(c->fd, p, n);
}
static int upgrade(LC *c, int i) {
  char r[600], b[4097];
  const char *pw = opt("password", "");
  char ah[256] = "";
  if (*pw) {
    char up[128];
    unsigned char e64[200];
    int u = snprintf(up, sizeof up, "CP%05d:%s", i, pw);
    EVP_EncodeBlock(e64, (unsigned char *)up, u);
    snprintf(ah, sizeof ah, "Authorization: Basic %s\r\n", e64);
  }
  int n = snprintf(r, sizeof r,
                   "GET /ocpp/CP%05d HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: "
                   "Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: "
                   "13\r\nSec-WebSocket-Protocol: ocpp1.6\r\n%s\r\n",
                   i, ah);
  if (xw(c, r, n) != n)
    return -1;
  int m = 0;
  while (m < 4096) {
    int q = xr(c, b + m, 1);
    if (q <= 0)
      return -1;
    m += q;
    b[m] = 0;
    if (m >= 4 && !memcmp(b + m - 4, "\r\n\r\n", 4))
      break;
  }
  return strncmp(b, "HTTP/1.1 101", 12) ? -2 : 0;
}
static unsigned char *tmpl[8];
static int tlen[8], nt;
static void mkmsgs(void) {
  const char *m[] = {
      "[2,\"%08x\",\"Heartbeat\",{}]",
      "[2,\"%08x\",\"StatusNotification\",{\"connectorId\":1,\"errorCode\":\"NoError\",\"status\":"
      "\"Charging\",\"timestamp\":\"2026-11-22T10:00:00.000Z\",\"info\":\"\",\"vendorId\":\"ACME\","
      "\"vendorErrorCode\":\"\"}]",
      "[2,\"%08x\",\"MeterValues\",{\"connectorId\":1,\"transactionId\":123456,\"meterValue\":[{"
      "\"timestamp\":\"2026-11-22T10:00:00.000Z\",\"sampledValue\":[{\"value\":\"12345.6\",\"context\":"
      "\"Sample.Periodic\",\"format\":\"Raw\",\"measurand\":\"Energy.Active.Import.Register\",\"location\":"
      "\"Outlet\",\"unit\":\"Wh\"},{\"value\":\"16.02\",\"context\":\"Sample.Periodic\",\"format\":\"Raw\","
      "\"measurand\":\"Current.Import\",\"phase\":\"L1\",\"location\":\"Outlet\",\"unit\":\"A\"},{\"value\":"
      "\"230.1\",\"context\":\"Sample.Periodic\",\"format\":\"Raw\",\"measurand\":\"Voltage\",\"phase\":"
      "\"L1\",\"location\":\"Outlet\",\"unit\":\"V\"},{\"value\":\"3680\",\"context\":\"Sample.Periodic\","
      "\"format\":\"Raw\",\"measurand\":\"Power.Active.Import\",\"location\":\"Outlet\",\"unit\":\"W\"}]}]}"
      "]"};
  nt = 3;
  const char *o = opt("mix", "");
  int lo = 0, hi = 3;
  if (!strcmp(o, "hb")) {
    hi = 1;
  }
  nt = hi - lo;
  for (int i = lo; i < hi; i++) {
    tmpl[i] = (void *)m[i];
    tlen[i] = strlen(m[i]);
  }
}
static uint32_t seq;
static int mkframe(LC *c, unsigned char *o) {
  unsigned char p[2048];
  int n = snprintf((char *)p, sizeof p, (char *)tmpl[c->k++ % nt], seq++);
  static const unsigned char mk[4] = {0x5a, 0xc3, 0x17, 0x8e};
  int h;
  o[0] = 0x81;
  if (n < 126) {
    o[1] = 0x80 | n;
    h = 2;
  } else {
    o[1] = 0xFE;
    o[2] = n >> 8;
    o[3] = n;
    h = 4;
  }
  memcpy(o + h, mk, 4);
  h += 4;
  for (int i = 0; i < n; i++)
    o[h + i] = p[i] ^ mk[i & 3];
  return h + n;
}
static void sendmsg1(LC *c) {
  unsigned char o[2200];
  int n = mkframe(c, o);
  c->t0 = now();
  c->busy = 1;
  int q = xw(c, o, n);
  if (q != n) {
    fprintf(stderr, "short write %d\n", q);
    exit(1);
  }
}
static uint32_t *lat;
static size_t nlat, clat = 1 << 22;
static int cmp(const void *a, const void *b) {
  uint32_t x = *(uint32_t *)a, y = *(uint32_t *)b;
  return x < y ? -1 : x > y;
}
#define P(q) (nlat ? lat[(size_t)((nlat - 1) * (q))] : 0)
static LC *C;
static int N, ep;
static unsigned long cnt, sent, close_, waiting;
static void dial_all(int port) {
  SSL_CTX *x = atoi(opt("tls", "1")) ? mkctx() : 0;
  C = calloc(N, sizeof *C);
  ep = epoll_create1(0);
  for (int i = 0; i < N; i++) {
    LC *c = &C[i];
    c->fd = dial(port);
    if (c->fd < 0)
      die("connect");
    c->k = i;
    if (x) {
      c->s = SSL_new(x);
      own_cert(c->s, i);
      SSL_set_fd(c->s, c->fd);
      if (SSL_connect(c->s) != 1)
        die("SSL_connect");
    }
    int u = upgrade(c, i);
    if (u) {
      fprintf(stderr, "upgrade failed %d at %d\n", u, i);
      exit(2);
    }
    nb(c->fd);
    c->cap = 2048;
    c->b = malloc(c->cap);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev);
  }
}
static void call(LC *c) {
  sendmsg1(c);
  sent++;
  waiting++;
}
static void read_all(LC *c) {
  for (;;) {
    if (c->n >= c->cap) {
      c->cap *= 2;
      c->b = realloc(c->b, c->cap);
    }
    int r = xr(c, c->b + c->n, c->cap - c->n);
    if (r <= 0) {
      if (c->s ? SSL_get_error(c->s, r) == SSL_ERROR_WANT_READ : errno == EAGAIN)
        return;
      fprintf(stderr, "conn lost\n");
      exit(3);
    }
    c->n += r;
    if (!c->s || !SSL_pending(c->s))
      return;
  }
}
// Takes the frames that are complete; true if one of them was a result.
static int take_frames(LC *c) {
  int results = 0;
  while (c->n >= 2) {
    size_t len = c->b[1] & 127, off = 2;
    if (len == 126) {
      if (c->n < 4)
        break;
      len = c->b[2] << 8 | c->b[3];
      off = 4;
    }
    if (c->n < off + len)
      break;
    int op = c->b[0] & 15;
    if (op == 1) {
      results++;
      cnt++;
      if (nlat < clat)
        lat[nlat++] = (uint32_t)((now() - c->t0) * 1e6);
      if (c->busy)
        waiting--;
      c->busy = 0;
    } else if (op == 8)
      close_++;
    memmove(c->b, c->b + off + len, c->n - off - len);
    c->n -= off + len;
  }
  return results;
}
static void round_(void) {
  double dur = atof(opt("dur", "5")), rate = atof(opt("rate", "0"));
  unsigned long max = strtoul(opt("max", "0"), 0, 10);
  int active = atoi(opt("active", "0")), rr = 0;
  if (active <= 0 || active > N)
    active = N;
  struct epoll_event evs[512];
  cnt = sent = close_ = nlat = 0;
  double t0 = now(), end = t0 + dur, next = t0, gone = 0;
  if (rate <= 0)
    for (int i = 0; i < active; i++)
      if (!C[i].busy)
        call(&C[i]);
  for (;;) {
    double tn = now();
    if (!gone && (max ? cnt >= max : tn > end))
      gone = tn;
    if (gone && (!waiting || tn > gone + 10))
      break;
    int to = 50;
    if (rate > 0 && !gone) {
      while (next <= tn) {
        if (!C[rr].busy)
          call(&C[rr]);
        rr = (rr + 1) % active;
        next += 1.0 / rate;
      }
      double d = next - now();
      to = d > 0.001 ? (int)(d * 1000) : 0;
    }
    int n = epoll_wait(ep, evs, 512, to);
    for (int i = 0; i < n; i++) {
      LC *c = evs[i].data.ptr;
      read_all(c);
      if (take_frames(c) && rate <= 0 && !gone)
        call(c);
    }
  }
  double el = now() - t0;
  qsort(lat, nlat, 4, cmp);
  printf("{\"rt\":%lu,\"sent\":%lu,\"unanswered\":%lu,\"elapsed\":%.3f,\"rt_per_s\":%.0f,\"p50\":%u,\"p90\":%u,"
         "\"p99\":%u,\"p999\":%u,\"max\":%u,\"closes\":%lu,\"cipher\":\"%s\"}\n",
         cnt, sent, waiting, el, cnt / el, P(.5), P(.9), P(.99), P(.999), P(1), close_,
         C[0].s ? SSL_get_cipher(C[0].s) : "none");
  fflush(stdout);
}
static int load_main(void) {
  N = atoi(opt("n", "200"));
  lat = malloc(clat * 4);
  mkmsgs();
  double t = now();
  dial_all(atoi(opt("port", "9443")));
  printf("READY %.3f\n", now() - t);
  fflush(stdout);
  static char line[512];
  while (fgets(line, sizeof line, stdin)) {
    r_argc = 0;
    for (char *w = strtok(line, " \n"); w && r_argc < 16; w = strtok(0, " \n"))
      r_argv[r_argc++] = w;
    round_();
  }
  return 0;
}
/* ----------------------------------------------------------------- churn */
static SSL_CTX *cx;
static volatile int stop_;
static int cport, resume_, ctls, cws;
static unsigned long ccount[64], creused[64], cfail[64];
static uint32_t *clats[64];
static int cids = 64;
static unsigned long cmax_ = 0;
static void *churn_t(void *p) {
  long id = (long)p;
  SSL_SESSION *ss = 0;
  int i = 0;
  clats[id] = malloc(4 << 20);
  while (!stop_ && (!cmax_ || ccount[id] + cfail[id] < cmax_)) {
    int who = (int)id * cids + (resume_ ? 0 : i++ % cids);
    LC c = {0};
    double t = now();
    c.fd = dial(cport);
    if (c.fd < 0) {
      cfail[id]++;
      usleep(1000);
      continue;
    }
    if (ctls) {
      c.s = SSL_new(cx);
      own_cert(c.s, who);
      SSL_set_fd(c.s, c.fd);
      if (resume_ && ss)
        SSL_set_session(c.s, ss);
      if (SSL_connect(c.s) != 1) {
        cfail[id]++;
        ERR_clear_error();
        SSL_free(c.s);
        close(c.fd);
        continue;
      }
      if (SSL_session_reused(c.s))
        creused[id]++;
    }
    int u = cws ? upgrade(&c, who) : 0;
    if (u)
      cfail[id]++;
    else {
      if (ccount[id] < (1 << 20))
        clats[id][ccount[id]] = (uint32_t)((now() - t) * 1e6);
      ccount[id]++;
    }
    if (ctls) {
      if (resume_) {
        if (ss)
          SSL_SESSION_free(ss);
        ss = SSL_get1_session(c.s);
      }
      SSL_shutdown(c.s);
      SSL_free(c.s);
    }
    close(c.fd);
  }
  return 0;
}
static int churn_main(void) {
  cport = atoi(opt("port", "9443"));
  resume_ = atoi(opt("resume", "0"));
  ctls = atoi(opt("tls", "1"));
  cws = atoi(opt("ws", "1"));
  cids = atoi(opt("ids", "64"));
  cmax_ = strtoul(opt("max", "0"), 0, 10);
  int T = atoi(opt("threads", "4"));
  double dur = atof(opt("dur", "5"));
  if (ctls)
    cx = mkctx();
  pthread_t th[64];
  printf("READY\n");
  fflush(stdout);
  char line[64];
  if (!fgets(line, 64, stdin))
    return 0;
  double t0 = now();
  for (long i = 0; i < T; i++)
    pthread_create(&th[i], 0, churn_t, (void *)i);
  if (!cmax_) {
    usleep((useconds_t)(dur * 1e6));
    stop_ = 1;
  }
  for (int i = 0; i < T; i++)
    pthread_join(th[i], 0);
  double el = now() - t0;
  unsigned long n = 0, r = 0, f = 0;
  nlat = 0;
  lat = malloc(clat * 4);
  for (int i = 0; i < T; i++) {
    for (unsigned long j = 0; j < ccount[i] && nlat < clat; j++)
      lat[nlat++] = clats[i][j];
    n += ccount[i];
    r += creused[i];
    f += cfail[i];
  }
  qsort(lat, nlat, 4, cmp);
  printf(
      "{\"conns\":%lu,\"reused\":%lu,\"failed\":%lu,\"elapsed\":%.3f,\"per_s\":%.1f,\"p50\":%u,\"p99\":%u}\n",
      n, r, f, el, n / el, P(.5), P(.99));
  fflush(stdout);
  if (!fgets(line, 64, stdin))
    return 0;
  return 0;
}
int main(int c, char **v) {
  signal(SIGPIPE, SIG_IGN);
  for (int i = 2; i < c && i < 64; i++)
    g_argv[g_argc++] = v[i];
  if (c >= 3 && !strcmp(v[1], "echo"))
    return echo_main(atoi(v[2]));
  if (c >= 2 && !strcmp(v[1], "load"))
    return load_main();
  if (c >= 2 && !strcmp(v[1], "churn"))
    return churn_main();
  fprintf(stderr, "usage: wsbench echo PORT | load k=v.. | churn k=v..\n");
  return 1;
}
