#include <gtest/gtest.h>

#include "server/http_server.h"

namespace orrery::server {
namespace {

TEST(Http, ParsesRequestLines) {
  const auto request = ParseHttpHead("GET /readyz?x=1 HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->method, "GET");
  EXPECT_EQ(request->path, "/readyz");
}

TEST(Http, RefusesWhatIsNoRequest) {
  for (const char* head : {"", "GET", "GET /", "GET / FTP/1.0\r\n", "GET nothing HTTP/1.1\r\n", " / HTTP/1.1", "\x16\x03\x01"}) {
    EXPECT_FALSE(ParseHttpHead(head).ok()) << head;
  }
}

TEST(Http, FormatsResponses) {
  const HttpResponse response{503, "text/plain", "no\n"};
  EXPECT_EQ(FormatHttpResponse(response, true),
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n"
            "Connection: close\r\n\r\nno\n");
  EXPECT_TRUE(FormatHttpResponse(response, false).ends_with("\r\n\r\n"));
}

}  // namespace
}  // namespace orrery::server
