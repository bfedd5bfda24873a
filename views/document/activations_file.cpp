// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/document/activations_file.h"

#include "core/calibration/calibrated_activations.h"

#include <QCoreApplication>

namespace ql::views {

QString activationsFilter()
{
    return QCoreApplication::translate("Activations", "Activations (*.npz *.h5 *.hdf5 *.gguf *.dat);;"
                                                      "Calibrated studies (*.qloupe);;All files (*)");
}

bool isStudy(const std::filesystem::path& path)
{
    return path.extension() == ".qloupe";
}

Result<std::shared_ptr<Study>> openOtherStudy(const std::filesystem::path& path)
{
    std::error_code error;
    if (!std::filesystem::exists(path, error))
        return ioError("no such study", path.string());
    std::vector<Warning> warnings;
    return openStudy(path, warnings);
}

Result<std::shared_ptr<const Activations>> activationsIn(const std::filesystem::path& path, const Model& model,
                                                         const JobContext& context)
{
    if (!isStudy(path))
        return openActivations(path, model, context);
    QL_TRY(study, openOtherStudy(path));
    if (study->document().fingerprint != model.checkpoint->fingerprint())
        return badInput("is a study of another checkpoint", path.string());
    auto activations = calibratedActivations(study, findCalibration(*study, model), path);
    if (!activations)
        return badInput("holds no calibration; calibrate there first", path.string());
    return activations;
}

} // namespace ql::views
