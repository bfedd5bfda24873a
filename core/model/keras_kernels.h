// SPDX-License-Identifier: GPL-3.0-or-later
// How Keras stores kernels: dense [in, out], convolutions [k…, in, out], transposed ones [k…, out, in], depthwise ones
// [k…, in, multiplier], those of attention [in, heads, size] and [heads, size, out]. Class names come from the model's
// configuration (.h5) or from the paths (.weights.h5). Source: keras, layers/{core,convolutional,attention}.
#pragma once

#include "core/model/model.h"

namespace ql {

class KerasKernels {
public:
    /// Knows nothing if the checkpoint is no HDF5 file.
    explicit KerasKernels(const Checkpoint& checkpoint);
    /// Sets order and shape of a kernel, and what its class says of the operator.
    void describe(Layer& layer) const;

private:
    std::string classOf(std::string_view path) const;

    bool m_applies;
    std::map<std::string, std::string, std::less<>> m_classes; // of layers, by name, in lower case
};

} // namespace ql
