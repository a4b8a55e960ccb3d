using System.Security.Cryptography;
using System.Text;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Quality;
using FineTuneStudio.Review;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Splits;

/// What dividing needs of a version: its labelled rows in row order, without their texts. Labels are the strata of their answers.
/// A row's key is of what keeps it with others, Texts holds that of its whole text, Given which of the answers that differ in meaning it has.
internal sealed record LabelledRows(StratifiedSplit.Row[] Rows, UInt128[] Texts, int[] Given, string[] Labels, int Unlabelled, Answers Answers)
{
    /// Places of the rows whose text occurs with more than one answer, where a text has one right answer: those of a text together, texts in the order in which they first occur.
    /// Locked texts, see below, are not among them, and nothing is said of how many they are: it would tell what a locked answer is, or is not.
    internal IReadOnlyList<int> Conflicting(IReadOnlySet<UInt128> locked)
    {
        if (!Answers.HasOneRight) return [];
        var (first, conflicting) = (new Dictionary<UInt128, int>(Rows.Length), new HashSet<UInt128>());
        for (var i = 0; i < Rows.Length; i++)
            if (!first.TryAdd(Texts[i], i) && !locked.Contains(Texts[i]) && Given[first[Texts[i]]] != Given[i]) conflicting.Add(Texts[i]);
        return [.. Enumerable.Range(0, Rows.Length).Where(i => conflicting.Contains(Texts[i])).OrderBy(i => first[Texts[i]])];
    }

    /// The texts of all rows in locked test parts of a project, of whatever upload.
    internal static async Task<IReadOnlySet<UInt128>> Locked(StudioDb db, string projectId, CancellationToken cancel)
    {
        var test = await TestLock.Of(db, projectId, cancel);
        if (test.Splits.Count == 0) return new HashSet<UInt128>();
        var sql = $"SELECT r.TextKey AS Value FROM Rows r WHERE r.ProjectId = {{0}} AND {test.Holds("r.Id")}";
        return (await db.Database.SqlQueryRaw<string>(sql, projectId).ToListAsync(cancel)).Select(Hash).ToHashSet();
    }

    /// 128 bits of a hash instead of the key itself: sixteen bytes a row, whatever the key is.
    private static UInt128 Hash(string key)
    {
        Span<byte> hash = stackalloc byte[32];
        SHA256.HashData(Encoding.UTF8.GetBytes(key), hash);
        return new(BitConverter.ToUInt64(hash), BitConverter.ToUInt64(hash[8..]));
    }

    internal static async Task<LabelledRows> Read(StudioDb db, int versionId, Answers answers, CancellationToken cancel)
    {
        await db.Database.OpenConnectionAsync(cancel);
        using var command = ((SqliteConnection)db.Database.GetDbConnection()).CreateCommand();
        command.CommandText = """SELECT v."RowId", r."TextKey", v."Label", r."Text" FROM "VersionRows" v JOIN "Rows" r ON r."Id" = v."RowId" WHERE v."VersionId" = $version ORDER BY v."RowId" """;
        command.Parameters.AddWithValue("$version", versionId);
        var (rows, texts, given, seen) = (new List<(long Id, UInt128 Key)>(), new List<UInt128>(), new List<string>(), new Dictionary<string, string>(StringComparer.Ordinal));
        var (meant, meanings) = (new List<int>(), new Dictionary<string, int>(StringComparer.Ordinal));
        var unlabelled = 0;
        using (var reader = command.ExecuteReader())
            while (reader.Read())
            {
                if (rows.Count % 4096 == 0) cancel.ThrowIfCancellationRequested();
                if (reader.IsDBNull(2)) { unlabelled++; continue; }
                var (answer, text, key) = (reader.GetString(2), reader.GetString(3), Hash(reader.GetString(1)));
                // Of equal answers one is kept.
                if (!seen.TryGetValue(answer, out var once)) seen.Add(answer, once = answer);
                given.Add(once);
                var meaning = answers.Meaning(once, text);
                if (!meanings.TryGetValue(meaning, out var number)) meanings.Add(meaning, number = meanings.Count);
                meant.Add(number);
                rows.Add((reader.GetInt64(0), !answers.HasPartInCommon ? key : TextNormalization.Hash128(answers.Key(text))));
                texts.Add(key);
            }
        var strata = answers.Strata(given);
        var labels = strata.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray();
        var place = labels.Select((name, i) => (name, i)).ToDictionary(l => l.name, l => l.i, StringComparer.Ordinal);
        return new([.. rows.Select((r, i) => new StratifiedSplit.Row(r.Id, r.Key, place[strata[i]]))], [.. texts], [.. meant], labels, unlabelled, answers);
    }
}
