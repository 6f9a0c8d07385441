#include <gtest/gtest.h>

#include <memory>

#include "support/transcript.h"
#include "transcript/raft/interaction.h"

namespace orrery::raft::test {
namespace {

TEST(RaftTranscript, All) {
  transcript::RunFolder(ORRERY_TESTDATA, [] {
    return [group = std::make_shared<Interaction>()](const transcript::Command& command) {
      return group->Handle(command);
    };
  });
}

}  // namespace
}  // namespace orrery::raft::test
