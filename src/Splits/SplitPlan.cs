using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using FineTuneStudio.Datasets;

namespace FineTuneStudio.Splits;

/// A division of one version with what has to be said about it.
internal sealed record SplitPlan(LabelledRows Rows, SplitPart[] Parts, PreviewSplit.Result Shown)
{
    /// <param name="locked">As LabelledRows.Locked gives it.</param>
    internal static SplitPlan Make(DatasetVersion version, LabelledRows data, IReadOnlySet<UInt128> locked, SplitForm form)
    {
        if (Refusal(data) is { } refusal)
            return new(data, [], new(version.Number, [], refusal, [], data.Unlabelled, 0, 0, ""));
        var parts = StratifiedSplit.Divide(data.Rows, data.Labels.Length, [form.Train / 100.0, form.Validation / 100.0, form.Test / 100.0], form.Seed);
        var counts = new int[data.Labels.Length, 3];
        for (var i = 0; i < parts.Length; i++) counts[data.Rows[i].Label, (int)parts[i]]++;
        var labels = data.Labels.Select((name, l) => new LabelParts(name, counts[l, 0], counts[l, 1], counts[l, 2])).ToList();

        var (texts, conflicting) = (data.Texts.Distinct().Count(), data.Conflicting(locked));
        var warnings = new List<string>();
        if (conflicting.Count > 0)
            warnings.Add(Say($"{Texts(conflicting.Select(i => data.Texts[i]).Distinct().Count())} with different {data.Answers.Many} ({conflicting.Count:N0} rows). The rows of such a text stay in one part, but {(data.Answers.IsLabel ? "at least one of them is labelled wrongly" : $"a model gives them all the same answer")}: {(data.Answers.HasReview ? "settle them in the review" : "correct them in the file and upload it again")} first."));
        if (labels.Where(l => l.Total < 3).ToList() is { Count: > 0 } rare)
            warnings.Add(Say($"Too rare to be in every part, with fewer than 3 rows: {Names(rare)}. They stay whole in the training part, so nothing will be known about how well they are recognised."));
        if (labels.Where(l => l.Total >= 3 && (l.Train == 0 || l.Validation == 0 || l.Test == 0)).ToList() is { Count: > 0 } lumped)
            warnings.Add(Say($"Not in every part, because their rows repeat too few different texts: {Names(lumped)}. Add examples that are worded differently."));
        var groups = data.Rows.Select(r => r.Key).Distinct().Count();
        if (data.Answers is { HasPartInCommon: true, Together: var shared } && Astray(parts, form) is { } astray)
            warnings.Add(Say($"The rows have only {groups:N0} different {shared}s, and rows with the same {shared} stay together: {astray}. Add rows with other {shared}s."));
        if (data.Unlabelled > 0)
            warnings.Add(Say($"{RowsWords(data.Unlabelled)} without {data.Answers.One} {(data.Unlabelled == 1 ? "is" : "are")} left out. {(data.Answers.HasReview ? $"Label {(data.Unlabelled == 1 ? "it" : "them")} in the review and freeze a new version" : $"Answer {(data.Unlabelled == 1 ? "it" : "them")} in the file and upload the file again")} to use {(data.Unlabelled == 1 ? "it" : "them")}."));
        return new(data, parts, new(version.Number, labels, null, warnings, data.Unlabelled, data.Rows.Length - texts, texts - groups, HashOf(version.ContentHash, data.Rows, parts)) { Conflicting = conflicting.Count });
    }

    /// The parts that are more than 5 points away from their shares.
    private static string? Astray(SplitPart[] parts, SplitForm form)
    {
        var off = new (SplitPart Part, int Share)[] { (SplitPart.Train, form.Train), (SplitPart.Validation, form.Validation), (SplitPart.Test, form.Test) }
            .Select(p => (p.Part, p.Share, Has: 100.0 * parts.Count(q => q == p.Part) / parts.Length)).Where(p => Math.Abs(p.Has - p.Share) > 5).ToList();
        return off.Count == 0 ? null : string.Join(", ", off.Select(p => Say($"{p.Part.ToString().ToLowerInvariant()} has {p.Has:0} % of the rows instead of {p.Share} %")));
    }

    private static string? Refusal(LabelledRows data) => data.Labels.Length switch
    {
        0 => Say($"None of the {data.Unlabelled:N0} rows of this version has {data.Answers.One}. A split divides {data.Answers.GivenRows}: {(data.Answers.HasReview ? "label some in the review and freeze a new version" : "answer some in the file and upload it again")} first."),
        1 when data.Answers.NeedsTwoStrata => Say($"All {data.Rows.Length:N0} labelled rows bear the same label, “{data.Labels[0]}”. A classifier needs at least two labels to tell apart: label more rows, or map another column as the label."),
        _ when data.Rows.Length < 6 => Say($"This version has {RowsWords(data.Rows.Length)} with {data.Answers.One}; at least 6 are needed to make three parts."),
        _ => null,
    };

    /// SHA-256 over the version's content hash and, in row order, every row's id (8 bytes, little-endian) and part (1 byte), as lower-case hex.
    private static string HashOf(string contentHash, StratifiedSplit.Row[] rows, SplitPart[] parts)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes(contentHash));
        var block = new byte[9 * 8192];
        var used = 0;
        for (var i = 0; i < rows.Length; i++)
        {
            BinaryPrimitives.WriteInt64LittleEndian(block.AsSpan(used), rows[i].RowId);
            block[used + 8] = (byte)parts[i];
            if ((used += 9) < block.Length) continue;
            hash.AppendData(block, 0, used);
            used = 0;
        }
        hash.AppendData(block, 0, used);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static string Names(List<LabelParts> labels) =>
        string.Join(", ", labels.Take(8).Select(l => Say($"“{l.Name}” ({l.Total:N0})"))) + (labels.Count > 8 ? Say($" and {labels.Count - 8:N0} more") : "");

    private static string Texts(int n) => n == 1 ? "1 text occurs" : Say($"{n:N0} texts occur");
    private static string RowsWords(int n) => n == 1 ? "1 row" : Say($"{n:N0} rows");
    private static string Say(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
