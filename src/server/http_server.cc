#include "server/http_server.h"

#include "orrery/base/status_or.h"
#include "server/connection_tasks.h"

namespace orrery::server {
namespace {

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 503: return "Service Unavailable";
  }
  return "Status";
}

// Reads up to the empty line that ends the head of a request.
StatusOr<std::string> ReadHead(const runtime::Context& context, runtime::ByteStream& stream, size_t bytes_max) {
  std::string head;
  char buffer[4096];
  while (head.find("\r\n\r\n") == std::string::npos) {
    ASSIGN_OR_RETURN(const size_t n, stream.Read(context, buffer, sizeof buffer));
    if (n == 0) return InvalidArgumentError("connection closed before the end of the request");
    head.append(buffer, n);
    if (head.size() > bytes_max) return InvalidArgumentError("request head too long");
  }
  return head;
}

}  // namespace

StatusOr<HttpRequest> ParseHttpHead(std::string_view head) {
  const std::string_view line = head.substr(0, head.find("\r\n"));
  const size_t first = line.find(' ');
  const size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos || !line.substr(second + 1).starts_with("HTTP/1.")) {
    return InvalidArgumentError("not an HTTP/1.x request");
  }
  HttpRequest request;
  request.method = line.substr(0, first);
  std::string_view path = line.substr(first + 1, second - first - 1);
  request.path = path.substr(0, path.find('?'));
  if (request.method.empty() || !request.path.starts_with('/')) return InvalidArgumentError("malformed request line");
  return request;
}

std::string FormatHttpResponse(const HttpResponse& response, bool with_body) {
  std::string out = "HTTP/1.1 " + std::to_string(response.status) + " " + std::string(ReasonPhrase(response.status));
  out += "\r\nContent-Type: " + response.content_type;
  out += "\r\nContent-Length: " + std::to_string(response.body.size());
  out += "\r\nConnection: close\r\n\r\n";
  if (with_body) out += response.body;
  return out;
}

Status HttpServer::Start(runtime::TaskGroup& group, std::string_view address) {
  ASSIGN_OR_RETURN(listener_, group.context().runtime().network().Listen(address));
  group.Spawn({.name = "http accept"}, [this](const runtime::Context& context) { return AcceptLoop(context); });
  return OkStatus();
}

void HttpServer::Stop() {
  if (listener_) listener_->Close();
}

Status HttpServer::AcceptLoop(const runtime::Context& context) {
  ConnectionTasks tasks("http");
  for (;;) {
    auto stream = listener_->Accept(context);
    if (!stream.ok()) return OkStatus();  // closed or cancelled: the node stops
    if (tasks.count() >= limits_.connections_max) {
      (*stream)->Close();
      continue;
    }
    tasks.Spawn(context, std::move(*stream),
                [this](const runtime::Context& c, runtime::ByteStream& s) { Serve(c, s); });
  }
}

void HttpServer::Serve(const runtime::Context& context, runtime::ByteStream& stream) {
  const runtime::Context limited = context.WithTimeout(limits_.request_timeout);
  const auto head = ReadHead(limited, stream, limits_.head_bytes_max);
  StatusOr<HttpRequest> request = head.ok() ? ParseHttpHead(*head) : StatusOr<HttpRequest>(head.status());
  const HttpResponse response =
      request.ok() ? Answer(limited, *request)
                   : HttpResponse{400, "text/plain; charset=utf-8", std::string(request.status().message()) + "\n"};
  const bool with_body = !request.ok() || request->method != "HEAD";
  (void)stream.Write(limited, FormatHttpResponse(response, with_body));  // a client that left misses its answer
  stream.Close();
}

HttpResponse HttpServer::Answer(const runtime::Context& context, const HttpRequest& request) {
  if (request.method != "GET" && request.method != "HEAD") {
    return {405, "text/plain; charset=utf-8", "only GET and HEAD are served here\n"};
  }
  const auto handler = handlers_.find(request.path);
  if (handler != handlers_.end()) return handler->second(context);
  std::string body = "no such page: " + request.path + "\nThere are:\n";
  for (const auto& [path, unused] : handlers_) body += "  " + path + "\n";
  return {404, "text/plain; charset=utf-8", std::move(body)};
}

}  // namespace orrery::server
