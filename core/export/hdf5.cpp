// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/export/export.h"
#include "core/export/hdf5_files.h"
#include "core/export/hdf5_layout.h"
#include "core/formats/block_format.h"

namespace ql {

namespace {

Result<void> acceptsModel(const Model&)
{
    return {};
}

Result<void> inLayer(Result<void> result, const Layer& layer)
{
    return result ? std::move(result) : Error{result.error().code, result.error().what, layer.name};
}

Result<void> accepts(const Model&, const Layer& layer, const Candidate& candidate)
{
    if (candidate.activations)
        return refused("this target holds weights only; leave +a: out", layer.name);
    return inLayer(checkWholeBlocks(candidate.weights, layer.shape), layer);
}

Candidate complete(const Model&, const Layer&, const Candidate& candidate)
{
    return candidate;
}

std::vector<Candidate> menu(const Model&, const Layer&)
{
    std::vector<Candidate> list;
    for (const char* text : {"int2:g64", "int3:g128", "mxfp4", "nvfp4", "int4:g128", "int4:g64", "int5:g128",
                             "int6:g128", "int8:channel", "int8:g128", "keep"})
        if (auto scheme = parseScheme(text))
            list.push_back({std::move(scheme).value(), {}, {}});
    return list;
}

std::vector<Tie> ties(const Model&)
{
    return {};
}

Dtype restoreDtype(const Model&, const Layer&)
{
    return Dtype::f32;
}

Result<std::int64_t> fileBytes(const Model& model, const Plan& plan)
{
    Plan completed = plan;
    completed.target = "hdf5";
    return h5out::sizeBytes(model, completed);
}

} // namespace

namespace targets {
extern const Target hdf5;
const Target hdf5{
    .profile{.id = "hdf5",
             .title = "HDF5 with codes, scales and restored weights",
             .loadedBy = "h5py and any HDF5 reader",
             .source = "the README attribute of the file",
             .acceptsModel = acceptsModel,
             .accepts = accepts,
             .complete = complete,
             .menu = menu,
             .ties = ties,
             .restoreDtype = restoreDtype,
             .fileBytes = fileBytes,
             .onlyStores = true},
    .extension = ".h5",
    .write = h5out::writeFile,
    .embeddedPlan = h5out::readPlan,
    .verify = h5out::verifyFile,
};
} // namespace targets

} // namespace ql
