// SPDX-License-Identifier: GPL-3.0-or-later
// Small models that continue no text, and what they are run on.
#pragma once

#include "core/base/npz.h"
#include "core/base/rng.h"
#include "tests/support/onnx_builder.h"

#include <QDir>
#include <QFile>
#include <QString>

#include <span>
#include <vector>

namespace ql::test {

/// A classifier of pictures of 12 × 18, 5 classes.
inline QString vitPath()
{
    return QStringLiteral(QL_TEST_DATA "/frontends/vit");
}
/// Four pictures in the folders cat and dog.
inline QString picturesPath()
{
    return QStringLiteral(QL_TEST_DATA "/images");
}

inline bool writeFile(const QString& path, const QByteArray& content)
{
    QFile file(path);
    return file.open(QIODevice::WriteOnly) && file.write(content) == content.size();
}

/// A masked language model of 37 tokens with a tokenizer: special ones, the letters, and "##a" to "##f".
inline bool writeMaskedBert(const QString& folder)
{
    if (!QDir().mkpath(folder))
        return false;
    for (const char* name : {"/config.json", "/model.safetensors"})
        if (!QFile::copy(QStringLiteral(QL_TEST_DATA "/frontends/bert_mlm") + QLatin1String(name),
                         folder + QLatin1String(name)))
            return false;
    QByteArray vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
    for (char letter = 'a'; letter <= 'z'; ++letter)
        vocabulary += QByteArray(1, letter) + '\n';
    for (char letter = 'a'; letter <= 'f'; ++letter)
        vocabulary += QByteArray("##") + letter + '\n';
    return writeFile(folder + QStringLiteral("/vocab.txt"), vocabulary);
}
/// Letters for it, a token each.
inline QByteArray letters(int count)
{
    const CounterRng rng(5);
    QByteArray text;
    for (int i = 0; i < count; ++i)
        text +=
            QByteArray(1, static_cast<char>('a' + static_cast<int>(26 * rng.uniform(static_cast<std::uint64_t>(i))))) +
            ' ';
    return text;
}

/// Random pictures as the array "pixels" for the classifier, and "labels".
inline bool writePixels(const QString& path, std::int64_t cases)
{
    const std::int64_t shape[] = {cases, 3, 12, 18};
    std::vector<float> pixels(static_cast<std::size_t>(cases * 3 * 12 * 18));
    const CounterRng rng(6);
    for (std::size_t i = 0; i < pixels.size(); ++i)
        pixels[i] = static_cast<float>(rng.normal(i));
    std::vector<std::int64_t> labels(static_cast<std::size_t>(cases));
    for (std::size_t i = 0; i < labels.size(); ++i)
        labels[i] = static_cast<std::int64_t>(i % 5);
    auto npz = NpzWriter::create(path.toStdString());
    return npz && npz->add("pixels", "f4", shape, std::as_bytes(std::span(pixels))) &&
           npz->add("labels", "i8", std::span(shape, 1), std::as_bytes(std::span(labels))) && npz->commit();
}

/// A graph that multiplies its input "x" [cases, 32] by a matrix, and an array for it.
inline bool writeProduct(const QString& model, const QString& arrays, std::int64_t cases)
{
    const CounterRng rng(7);
    const auto random = [&](std::int64_t count) {
        std::vector<float> numbers(static_cast<std::size_t>(count));
        for (std::size_t i = 0; i < numbers.size(); ++i)
            numbers[i] = static_cast<float>(rng.normal(i));
        return numbers;
    };
    const std::string parts = onnxNode("MatMul", {"x", "w"}, {"y"}) + onnxTensor("w", {32, 8}, random(32 * 8));
    const std::vector<float> x = random(cases * 32);
    auto npz = NpzWriter::create(arrays.toStdString());
    return writeFile(model, QByteArray::fromStdString(onnxModel(onnxGraph(parts, {"x"}, {"y"})))) && npz &&
           npz->add("x", "f4", std::vector<std::int64_t>{cases, 32}, std::as_bytes(std::span(x))) && npz->commit();
}

} // namespace ql::test
