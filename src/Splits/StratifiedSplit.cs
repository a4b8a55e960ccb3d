namespace FineTuneStudio.Splits;

/// Divides labelled rows into train, validation and test: by share, stratified by label, with equal texts on one side, the same for the same seed.
/// O(n log n) in time; memory is a few integers a row.
///
/// How it goes:
/// 1. Rows with the same text key form one group, which is never torn apart; most groups have one row.
/// 2. Every label gets a target for each part: its rows times the share, rounded by largest remainder. What rounding took from a part is
///    carried to the next label, so that the totals hit the shares too and no part is always the one that loses. A label with three rows
///    or more aims at one row at least in each part; one with fewer stays whole in train, for a label seen only in the test part can never be learnt.
/// 3. Groups whose rows disagree about the label go first, each to the part that lacks most of its labels.
/// 4. Then label by label: its groups are shuffled with the seed, the larger ones come first (what is hard to place goes while there is room),
///    and each goes to the part that lacks most rows of this label.
/// 5. Where large groups left a part without a label that has rows to spare elsewhere, the smallest group that can go is moved there.
public static class StratifiedSplit
{
    /// Label is an index; Key is the same for rows with the same normalised text.
    public readonly record struct Row(long RowId, UInt128 Key, int Label);

    private const int Parts = 3;

    /// The part of each row. Rows must come in ascending RowId, labels are 0 to labelCount - 1, shares are of train, validation, test and add up to 1.
    public static SplitPart[] Divide(IReadOnlyList<Row> rows, int labelCount, IReadOnlyList<double> shares, int seed)
    {
        var groupOf = new int[rows.Count];
        var groups = new List<Group>();
        var byKey = new Dictionary<UInt128, int>(rows.Count);
        var countOf = new int[labelCount];
        var mixed = new Dictionary<int, Dictionary<int, int>>();
        for (var i = 0; i < rows.Count; i++)
        {
            if (i > 0 && rows[i].RowId <= rows[i - 1].RowId) throw new ArgumentException("The rows must come in ascending row id, each once.");
            countOf[rows[i].Label]++;
            if (!byKey.TryGetValue(rows[i].Key, out var group))
            {
                byKey.Add(rows[i].Key, group = groups.Count);
                groups.Add(new Group(rows[i].Label));
            }
            groupOf[i] = group;
            groups[group].Size++;
            groups[group].Mixed |= groups[group].Label != rows[i].Label;
        }
        for (var i = 0; i < rows.Count; i++)
            if (groups[groupOf[i]].Mixed)
            {
                if (!mixed.TryGetValue(groupOf[i], out var labels)) mixed.Add(groupOf[i], labels = []);
                labels[rows[i].Label] = labels.GetValueOrDefault(rows[i].Label) + 1;
            }

        var need = Targets(countOf, shares);
        var has = new int[labelCount, Parts];
        var random = new Random(seed);
        foreach (var group in Shuffled([.. mixed.Keys.Order()], groups, random))
        {
            var lacks = new double[Parts];
            foreach (var (label, count) in mixed[group])
                for (var p = 0; p < Parts; p++) lacks[p] += (double)count * need[label, p] / countOf[label];
            var part = Array.IndexOf(lacks, lacks.Max());
            groups[group].Part = part;
            foreach (var (label, count) in mixed[group]) Place(label, part, count);
        }

        var ofLabel = new List<int>[labelCount];
        for (var l = 0; l < labelCount; l++) ofLabel[l] = [];
        for (var g = 0; g < groups.Count; g++) if (!groups[g].Mixed) ofLabel[groups[g].Label].Add(g);
        for (var label = 0; label < labelCount; label++)
        {
            var order = Shuffled(ofLabel[label], groups, random);
            foreach (var g in order)
            {
                var part = 0;
                for (var p = 1; p < Parts; p++) if (need[label, p] > need[label, part]) part = p;
                groups[g].Part = part;
                Place(label, part, groups[g].Size);
            }
            if (countOf[label] < Parts) continue;
            for (var empty = 0; empty < Parts; empty++)
            {
                if (has[label, empty] > 0) continue;
                // From the end: the smallest groups stand there.
                var giver = order.FindLastIndex(g => has[label, groups[g].Part] > groups[g].Size);
                if (giver < 0) continue;
                var moved = groups[order[giver]];
                Place(label, moved.Part, -moved.Size);
                moved.Part = empty;
                Place(label, empty, moved.Size);
            }
        }
        return [.. groupOf.Select(g => (SplitPart)groups[g].Part)];

        void Place(int label, int part, int count)
        {
            need[label, part] -= count;
            has[label, part] += count;
        }
    }

    private static int[,] Targets(int[] countOf, IReadOnlyList<double> shares)
    {
        var targets = new int[countOf.Length, Parts];
        var carried = new double[Parts];
        for (var label = 0; label < countOf.Length; label++)
        {
            var n = countOf[label];
            if (n < Parts) { targets[label, 0] = n; continue; }
            var left = n;
            for (var p = 0; p < Parts; p++) left -= targets[label, p] = (int)Math.Floor(n * shares[p] + 1e-9);
            foreach (var p in Enumerable.Range(0, Parts).OrderByDescending(p => n * shares[p] + carried[p] - targets[label, p]).ThenBy(p => p).Take(Math.Max(left, 0)).ToList())
                targets[label, p]++;
            for (var p = 0; p < Parts; p++)
                if (targets[label, p] == 0)
                {
                    var most = Enumerable.Range(0, Parts).MaxBy(q => targets[label, q]);
                    targets[label, most]--;
                    targets[label, p]++;
                }
            for (var p = 0; p < Parts; p++) carried[p] += n * shares[p] - targets[label, p];
        }
        return targets;
    }

    private static List<int> Shuffled(List<int> order, List<Group> groups, Random random)
    {
        for (var i = order.Count - 1; i > 0; i--)
        {
            var j = random.Next(i + 1);
            (order[i], order[j]) = (order[j], order[i]);
        }
        return [.. order.OrderByDescending(g => groups[g].Size)];
    }

    private sealed class Group(int label)
    {
        public readonly int Label = label;
        public int Size;
        public bool Mixed;
        public int Part;
    }
}
