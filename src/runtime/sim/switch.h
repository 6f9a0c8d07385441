// Switch: how control passes between the simulation's loop and one task. Two back ends with one contract:
// exactly one of the loop and all tasks runs at any time.
#pragma once

#include <cstddef>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "orrery/runtime/sim/simulator.h"

namespace orrery::runtime::sim {

class Switch {
 public:
  // Precondition: the body has returned, or the process will not miss what the task's stack owns.
  virtual ~Switch() = default;
  // Called by the loop: runs the task until it suspends or its body returns.
  virtual void Resume() = 0;
  // Called by the task: lets the loop go on. Returns at the next Resume.
  virtual void Suspend() = 0;
};

// Makes the switches of one simulation.
class SwitchFactory {
 public:
  virtual ~SwitchFactory() = default;
  virtual std::unique_ptr<Switch> New(size_t stack_bytes, absl::AnyInvocable<void()> body) = 0;
};

std::unique_ptr<SwitchFactory> NewFiberFactory();
std::unique_ptr<SwitchFactory> NewBatonFactory();

}  // namespace orrery::runtime::sim
