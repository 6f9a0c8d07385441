// Functions of bytea and digests: PostgreSQL documentation, section 9.5.
#include <openssl/evp.h>

#include <algorithm>

#include "sql/types/errors.h"
#include "sql/types/evaluators.h"
#include "sql/types/scalar_io.h"

namespace orrery::sql {
namespace {

std::string Digest(const EVP_MD* method, std::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  const int done = EVP_Digest(bytes.data(), bytes.size(), digest, &size, method, nullptr);
  ORRERY_ASSERT(done == 1, "digests are computed in memory");
  return {reinterpret_cast<const char*>(digest), size};
}

Status Md5(EvalContext&, Args a, Datum* out) {
  std::string hex;
  AppendByteaHex(Digest(EVP_md5(), a[0].as_bytes()), hex);
  *out = Datum::Bytes(hex);
  return OkStatus();
}

using Method = const EVP_MD* (*)();
template <Method kMethod>
Status Sha(EvalContext&, Args a, Datum* out) {
  *out = Datum::Bytes(Digest(kMethod(), a[0].as_bytes()));
  return OkStatus();
}

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string EncodeBase64(std::string_view bytes) {
  std::string out;
  size_t line = 0;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    const size_t n = std::min<size_t>(3, bytes.size() - i);
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (k < n ? uint8_t(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) out += k <= n ? kBase64[group >> (18 - 6 * k) & 63] : '=';
    line += 4;
    if (line == 76 && i + 3 < bytes.size()) {  // lines of 76 characters, as MIME has them
      out += '\n';
      line = 0;
    }
  }
  return out;
}

StatusOr<std::string> DecodeBase64(std::string_view text) {
  std::string out;
  uint32_t group = 0;
  int count = 0;
  int padding = 0;
  for (const char c : text) {
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') continue;
    if (c == '=') {
      if (count < 2 && padding == 0) return InvalidParameter("unexpected \"=\" while decoding base64 sequence");
      ++padding;
      group <<= 6;
    } else {
      const size_t value = kBase64.find(c);
      if (value == std::string_view::npos || padding > 0) {
        return InvalidParameter("invalid symbol \"" + std::string(1, c) +
                                "\" found while decoding base64 sequence");
      }
      group = group << 6 | uint32_t(value);
    }
    if (++count == 4) {
      for (int k = 0; k < 3 - padding; ++k) out += char(group >> (16 - 8 * k));
      group = 0;
      count = 0;
    }
  }
  if (count != 0) {
    return InvalidParameter("invalid base64 end sequence")
        .WithHint("Input data is missing padding, is truncated, or is otherwise corrupted.");
  }
  return out;
}

Status BadEncoding(std::string_view name) {
  return InvalidParameter("unrecognized encoding: \"" + std::string(name) + "\"");
}

std::string LowerName(const Datum& d) {
  std::string name(d.as_bytes());
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? char(c + 32) : c;
  return name;
}

Status Encode(EvalContext&, Args a, Datum* out) {
  const std::string name = LowerName(a[1]);
  std::string text;
  if (name == "hex") {
    AppendByteaHex(a[0].as_bytes(), text);
  } else if (name == "base64") {
    text = EncodeBase64(a[0].as_bytes());
  } else if (name == "escape") {
    for (const char c : a[0].as_bytes()) {  // only zero and high bytes are escaped here
      if (c == 0 || uint8_t(c) >= 0x80 || c == '\\') {
        AppendByteaEscape({&c, 1}, text);
      } else {
        text += c;
      }
    }
  } else {
    return BadEncoding(a[1].as_bytes());
  }
  *out = Datum::Bytes(text);
  return OkStatus();
}

Status Decode(EvalContext&, Args a, Datum* out) {
  const std::string name = LowerName(a[1]);
  StatusOr<std::string> bytes = BadEncoding(a[1].as_bytes());
  if (name == "hex") bytes = DecodeHex(a[0].as_bytes());
  if (name == "base64") bytes = DecodeBase64(a[0].as_bytes());
  if (name == "escape") {
    bytes = ParseBytea(a[0].as_bytes().starts_with("\\x") ? "\\" : a[0].as_bytes());
  }
  if (!bytes.ok()) return bytes.status();
  *out = Datum::Bytes(*bytes);
  return OkStatus();
}

Status Substring(const Datum& source, int64_t start, int64_t end, Datum* out) {
  const std::string_view bytes = source.as_bytes();
  const int64_t from = std::clamp<int64_t>(start - 1, 0, int64_t(bytes.size()));
  const int64_t to = std::clamp<int64_t>(end - 1, from, int64_t(bytes.size()));
  *out = Datum::Bytes(bytes.substr(size_t(from), size_t(to - from)));
  return OkStatus();
}

}  // namespace

void RegisterByteaFunctions(EvaluatorTable& table) {
  table.AddComparisons<&CompareAs<oid::kBytea>>("bytea");
  table.AddCmp<&CompareAs<oid::kBytea>>("byteacmp");
  table.Add("md5_text", &Md5);
  table.Add("md5_bytea", &Md5);
  table.Add("sha224_bytea", &Sha<EVP_sha224>);
  table.Add("sha256_bytea", &Sha<EVP_sha256>);
  table.Add("sha384_bytea", &Sha<EVP_sha384>);
  table.Add("sha512_bytea", &Sha<EVP_sha512>);
  table.Add("binary_encode", &Encode);
  table.Add("binary_decode", &Decode);
  table.Add("byteacat", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Bytes(std::string(a[0].as_bytes()) + std::string(a[1].as_bytes()));
    return OkStatus();
  });
  table.Add("bytea_substr", [](EvalContext&, Args a, Datum* out) -> Status {
    if (a[2].as_int() < 0) {
      return Status(Code::kInvalidArgument, "22011", "negative substring length not allowed");
    }
    return Substring(a[0], a[1].as_int(), a[1].as_int() + a[2].as_int(), out);
  });
  table.Add("bytea_substr_no_len", [](EvalContext&, Args a, Datum* out) -> Status {
    return Substring(a[0], a[1].as_int(), INT64_MAX, out);
  });
}

}  // namespace orrery::sql
