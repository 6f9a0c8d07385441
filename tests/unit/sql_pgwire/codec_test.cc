#include "sql/pgwire/codec.h"

#include <gtest/gtest.h>

#include <random>

namespace orrery::sql::pgwire {
namespace {

std::string Message(char type, std::string_view body) {
  std::string out;
  size_t m = BeginMessage(out, type);
  out += body;
  EndMessage(out, m);
  return out;
}

TEST(MessageReaderTest, TakesMessagesInAnyPieces) {
  std::string stream = Message('Q', std::string("SELECT 1\0", 9)) + Message('S', "") + Message('X', "");
  for (size_t piece = 1; piece <= stream.size(); ++piece) {
    MessageReader reader{ConnectionLimits()};
    std::string types;
    for (size_t at = 0; at < stream.size(); at += piece) {
      reader.Append(std::string_view(stream).substr(at, piece));
      while (true) {
        auto message = reader.Next();
        ASSERT_TRUE(message.ok());
        if (!*message) break;
        types += (*message)->type;
      }
    }
    EXPECT_EQ(types, "QSX") << "pieces of " << piece;
  }
}

TEST(MessageReaderTest, SkipsWhatIsOverItsLimitWithoutKeepingIt) {
  ConnectionLimits limits;
  limits.message_bytes_max = 1000;
  MessageReader reader{limits};
  std::string header = Message('Q', "");
  uint32_t length = 200u << 20;
  for (int i = 0; i < 4; ++i) header[size_t(1 + i)] = char(length >> (24 - 8 * i));
  reader.Append(header);
  std::string chunk(1 << 20, 'x');
  uint64_t left = length - 4;
  while (left > 0) {
    auto message = reader.Next();
    ASSERT_TRUE(message.ok());
    ASSERT_FALSE(message->has_value());
    size_t take = size_t(std::min<uint64_t>(left, chunk.size()));
    reader.Append(std::string_view(chunk).substr(0, take));
    left -= take;
    ASSERT_EQ(reader.buffered_bytes(), 0u);
  }
  auto message = reader.Next();
  ASSERT_TRUE(message.ok() && message->has_value());
  EXPECT_TRUE((*message)->too_long);
  EXPECT_EQ((*message)->skipped_bytes, length);
  reader.Append(Message('S', ""));
  message = reader.Next();
  ASSERT_TRUE(message.ok() && message->has_value());
  EXPECT_EQ((*message)->type, 'S');
}

TEST(MessageReaderTest, RefusesUnknownTypesAndBadLengths) {
  for (std::string bytes : {std::string("?\0\0\0\4", 5), std::string("Q\0\0\0\3", 5), std::string("S\0\0\x7f\xff", 5)}) {
    MessageReader reader{ConnectionLimits()};
    reader.Append(bytes);
    auto message = reader.Next();
    ASSERT_FALSE(message.ok());
    EXPECT_EQ(message.status().sqlstate(), "08P01");
  }
}

TEST(MessageReaderTest, StartupLengthIsBounded) {
  MessageReader reader{ConnectionLimits()};
  reader.Append(std::string("\x16\x03\x01\x02", 4));  // a TLS hello
  EXPECT_FALSE(reader.NextStartup().ok());
}

TEST(CodecTest, RandomBytesNeverDecodeBeyondTheirEnd) {
  std::mt19937_64 random(20240601);
  for (int round = 0; round < 20'000; ++round) {
    std::string body(random() % 40, '\0');
    for (char& c : body) c = char(random() % 4 == 0 ? random() : random() % 3);
    BindMessage bind;
    (void)DecodeBind(body, bind);
    (void)DecodeParse(body);
    (void)DecodeExecute(body);
    (void)DecodeTarget(body);
    (void)DecodeStartup(body);
  }
}

TEST(CodecTest, BindRoundTrip) {
  std::string body;
  AppendString(body, "p");
  AppendString(body, "s");
  AppendInt16(body, 1);
  AppendInt16(body, 1);
  AppendInt16(body, 2);
  AppendInt32(body, 3);
  body += "abc";
  AppendInt32(body, -1);
  AppendInt16(body, 0);
  BindMessage bind;
  ASSERT_TRUE(DecodeBind(body, bind).ok());
  EXPECT_EQ(bind.portal, "p");
  EXPECT_EQ(bind.statement, "s");
  ASSERT_EQ(bind.parameters.values.size(), 2u);
  EXPECT_EQ(bind.parameters.values[0], "abc");
  EXPECT_FALSE(bind.parameters.values[1].has_value());
  // Every proper prefix is malformed.
  for (size_t size = 0; size < body.size(); ++size) {
    EXPECT_FALSE(DecodeBind(std::string_view(body).substr(0, size), bind).ok()) << size;
  }
}

TEST(CodecTest, OptionsOfTheStartupPacket) {
  auto options = DecodeOptions("-c statement_timeout=5 --search-path=a\\ b");
  ASSERT_TRUE(options.ok());
  ASSERT_EQ(options->size(), 2u);
  EXPECT_EQ((*options)[0], (std::pair<std::string, std::string>("statement_timeout", "5")));
  EXPECT_EQ((*options)[1], (std::pair<std::string, std::string>("search_path", "a b")));
  EXPECT_FALSE(DecodeOptions("-c nothing").ok());
}

}  // namespace
}  // namespace orrery::sql::pgwire
