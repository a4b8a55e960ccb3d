using System.Runtime.CompilerServices;
using TorchSharp.Native;
using static TorchSharp.Native.Calls;

namespace TorchSharp;

public static partial class torch
{
    /// <summary>One place of an index: a number, a slice, a tensor of positions, a new dimension, or the rest.</summary>
    public struct TensorIndex
    {
        internal enum Kind { None, Single, Slice, Tensor, Ellipsis, Bool }

        internal Kind What;
        internal long? Start, Stop, Step;
        internal torch.Tensor? Positions;

        public static readonly TensorIndex Ellipsis = new() { What = Kind.Ellipsis };

        /// <summary>A new dimension of size 1.</summary>
        public static readonly TensorIndex None = new() { What = Kind.None };

        /// <summary>The whole dimension.</summary>
        public static readonly TensorIndex Null = new() { What = Kind.Slice }, Colon = new() { What = Kind.Slice };

        public static TensorIndex Bool(bool value) => new() { What = Kind.Bool, Start = value ? 1 : 0 };
        public static TensorIndex Single(long? index) => index is null ? Null : new() { What = Kind.Single, Start = index };
        public static TensorIndex Slice(long? start = null, long? stop = null, long? step = null) => new() { What = Kind.Slice, Start = start, Stop = stop, Step = step };
        public static TensorIndex Slice((int? start, int? end) range) => Slice(range.start, range.end);

        public static TensorIndex Slice(Range range) => Slice(
            range.Start.IsFromEnd ? -range.Start.Value : range.Start.Value,
            range.End.IsFromEnd ? (range.End.Value == 0 ? null : -range.End.Value) : range.End.Value);

        public static TensorIndex Tensor(torch.Tensor tensor) => new() { What = Kind.Tensor, Positions = tensor };

        public static implicit operator TensorIndex(long value) => Single(value);
        public static implicit operator TensorIndex((int? start, int? end) range) => Slice(range);
        public static implicit operator TensorIndex(Range range) => Slice(range);
        public static implicit operator TensorIndex(Index index) => Single(index.IsFromEnd ? -index.Value : index.Value);
    }

    public partial class Tensor
    {
        [IndexerName("TensorItems")]
        public Tensor this[params TensorIndex[] indices]
        {
            get => index(indices);
            set => index_put_(value, indices);
        }

        [IndexerName("TensorItems")]
        public Tensor this[params Tensor[] indices]
        {
            get => index(indices);
            set => index_put_(value, indices);
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1]
        {
            get => select(0, i1);
            set { using var place = select(0, i1); Put(place, value); }
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1, long i2]
        {
            get => At(i1, i2);
            set { using var place = At(i1, i2); Put(place, value); }
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1, long i2, long i3]
        {
            get => At(i1, i2, i3);
            set { using var place = At(i1, i2, i3); Put(place, value); }
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1, long i2, long i3, long i4]
        {
            get => At(i1, i2, i3, i4);
            set { using var place = At(i1, i2, i3, i4); Put(place, value); }
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1, long i2, long i3, long i4, long i5]
        {
            get => At(i1, i2, i3, i4, i5);
            set { using var place = At(i1, i2, i3, i4, i5); Put(place, value); }
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1, long i2, long i3, long i4, long i5, long i6]
        {
            get => At(i1, i2, i3, i4, i5, i6);
            set { using var place = At(i1, i2, i3, i4, i5, i6); Put(place, value); }
        }

        [IndexerName("TensorItems")]
        public Tensor this[params long[] indices]
        {
            get => At(indices);
            set { using var place = At(indices); Put(place, value); }
        }

        /// <summary>The part that the indices name: a view where they are numbers and slices, a copy where a tensor of positions is among them.</summary>
        public Tensor index(params TensorIndex[] indices)
        {
            var (view, positions) = View(indices);
            if (positions is null) return view;
            using (view) return Call(Ops.index_Tensor, view, Arg.Optional(positions));
        }

        public Tensor index(params Tensor[] indices) => Call(Ops.index_Tensor, this, Arg.Optional(indices));

        public Tensor index_put_(Tensor value, params TensorIndex[] indices) => index_put_(value, indices, false);

        public Tensor index_put_(Tensor value, TensorIndex[] indices, bool accumulate = false)
        {
            var (view, positions) = View(indices);
            using (view)
            {
                if (positions is not null) Call(Ops.index_put_, view, Arg.Optional(positions), value, accumulate).Dispose();
                else if (accumulate) view.add_(value).Dispose();
                else Put(view, value);
            }
            return Same();
        }

        public Tensor index_put_(Tensor value, params Tensor[] indices) => index_put_(value, indices, false);

        public Tensor index_put_(Tensor value, Tensor[] indices, bool accumulate = false) => Call(Ops.index_put_, this, Arg.Optional(indices), value, accumulate);

        public Tensor index_put_(Scalar value, params TensorIndex[] indices)
        {
            using Tensor number = value;
            using var typed = number.to(dtype, device);
            return index_put_(typed, indices, false);
        }

        public Tensor index_put_(Scalar value, params Tensor[] indices)
        {
            using Tensor number = value;
            using var typed = number.to(dtype, device);
            return index_put_(typed, indices, false);
        }

        private static void Put(Tensor place, Tensor value) => place.copy_(value).Dispose();

        private Tensor At(params ReadOnlySpan<long> indices)
        {
            if (indices.Length == 0) return alias();
            var part = select(0, indices[0]);
            for (int k = 1; k < indices.Length; k++)
            {
                var next = part.select(0, indices[k]);
                part.Dispose();
                part = next;
            }
            return part;
        }

        // Numbers, slices and new dimensions become views one by one; tensors of positions are left for one index call.
        private (Tensor View, Tensor?[]? Positions) View(TensorIndex[] indices)
        {
            int named = indices.Count(i => i.What is TensorIndex.Kind.Single or TensorIndex.Kind.Slice or TensorIndex.Kind.Tensor);
            int rank = (int)Dimensions, dim = 0;
            if (named > rank) throw new ArgumentException($"{named} indices were given for a tensor of {rank} dimensions.");
            var view = alias();
            Tensor?[]? positions = null;
            int masked = 0;
            void Step(Tensor next)
            {
                view.Dispose();
                view = next;
            }
            foreach (var i in indices)
            {
                switch (i.What)
                {
                    case TensorIndex.Kind.Single: Step(view.select(dim, i.Start!.Value)); break;
                    case TensorIndex.Kind.Slice:
                        if (i.Start is not null || i.Stop is not null || i.Step is not null)
                            Step(Call(Ops.slice_Tensor, view, dim, i.Start, i.Stop, i.Step ?? 1));
                        dim++;
                        break;
                    case TensorIndex.Kind.Ellipsis: dim += rank - named; break;
                    case TensorIndex.Kind.None: Step(view.unsqueeze(dim++)); break;
                    case TensorIndex.Kind.Bool:
                        Step(view.unsqueeze(dim));
                        Place(dim++, tensor((bool[])[i.Start == 1]));
                        break;
                    default:
                        Place(dim, i.Positions!);
                        // A mask of several dimensions stands for as many of the tensor's.
                        dim += i.Positions!.dtype is ScalarType.Bool or ScalarType.Byte ? (int)i.Positions.Dimensions : 1;
                        break;
                }
            }
            return (view, positions);

            void Place(int at, Tensor t)
            {
                int slot = at - masked;
                var grown = positions ?? [];
                Array.Resize(ref grown, slot + 1);
                grown[slot] = t;
                positions = grown;
                masked += t.dtype is ScalarType.Bool or ScalarType.Byte ? (int)t.Dimensions - 1 : 0;
            }
        }
    }
}
