using System.Security.Cryptography;
using System.Text;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Quality;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Splits;

/// What dividing needs of a version: its labelled rows in row order, without their texts. Labels are the strata of their answers.
/// A row's key is of what keeps it with others, Texts holds that of its whole text, Given which of the different answers it has.
internal sealed record LabelledRows(StratifiedSplit.Row[] Rows, UInt128[] Texts, int[] Given, string[] Labels, int Unlabelled, Answers Answers)
{
    /// Places of the rows whose text occurs with more than one answer, where a text has one right answer: those of a text together, texts in the order in which they first occur.
    internal IReadOnlyList<int> Conflicting()
    {
        if (!Answers.HasOneRight) return [];
        var (first, conflicting) = (new Dictionary<UInt128, int>(Rows.Length), new HashSet<UInt128>());
        for (var i = 0; i < Rows.Length; i++)
            if (!first.TryAdd(Texts[i], i) && Given[first[Texts[i]]] != Given[i]) conflicting.Add(Texts[i]);
        return [.. Enumerable.Range(0, Rows.Length).Where(i => conflicting.Contains(Texts[i])).OrderBy(i => first[Texts[i]])];
    }

    internal static async Task<LabelledRows> Read(StudioDb db, int versionId, Answers answers, CancellationToken cancel)
    {
        await db.Database.OpenConnectionAsync(cancel);
        using var command = ((SqliteConnection)db.Database.GetDbConnection()).CreateCommand();
        command.CommandText = """SELECT v."RowId", r."TextKey", v."Label", r."Text" FROM "VersionRows" v JOIN "Rows" r ON r."Id" = v."RowId" WHERE v."VersionId" = $version ORDER BY v."RowId" """;
        command.Parameters.AddWithValue("$version", versionId);
        var (rows, texts, given, seen) = (new List<(long Id, UInt128 Key)>(), new List<UInt128>(), new List<int>(), new Dictionary<string, int>(StringComparer.Ordinal));
        var different = new List<string>();
        var unlabelled = 0;
        Span<byte> hash = stackalloc byte[32];
        using (var reader = command.ExecuteReader())
            while (reader.Read())
            {
                if (rows.Count % 4096 == 0) cancel.ThrowIfCancellationRequested();
                if (reader.IsDBNull(2)) { unlabelled++; continue; }
                var answer = reader.GetString(2);
                if (!seen.TryGetValue(answer, out var once))
                {
                    seen.Add(answer, once = different.Count);
                    different.Add(answer);
                }
                given.Add(once);
                // 128 bits of a hash instead of the key itself: sixteen bytes a row, whatever the key is.
                SHA256.HashData(Encoding.UTF8.GetBytes(reader.GetString(1)), hash);
                var key = new UInt128(BitConverter.ToUInt64(hash), BitConverter.ToUInt64(hash[8..]));
                rows.Add((reader.GetInt64(0), !answers.HasPartInCommon ? key : TextNormalization.Hash128(answers.Key(reader.GetString(3)))));
                texts.Add(key);
            }
        var strata = answers.Strata([.. given.Select(g => different[g])]);
        var labels = strata.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray();
        var place = labels.Select((name, i) => (name, i)).ToDictionary(l => l.name, l => l.i, StringComparer.Ordinal);
        return new([.. rows.Select((r, i) => new StratifiedSplit.Row(r.Id, r.Key, place[strata[i]]))], [.. texts], [.. given], labels, unlabelled, answers);
    }
}
