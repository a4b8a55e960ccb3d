using TorchSharp.Native;
using static TorchSharp.Native.Calls;

namespace TorchSharp;

public static partial class torch
{
    /// <content>
    /// Operators. Comparisons are element-wise and give Bool tensors: "t == null" is no null test, use "t is null".
    /// A number keeps the dtype of the tensor beside it within its kind.
    /// </content>
    public partial class Tensor
    {
        public static Tensor operator +(Tensor left, Tensor right) => Call(Ops.add_Tensor, left, right);
        public static Tensor operator +(Tensor left, Scalar right) => Call(Ops.add_Scalar, left, right);
        public static Tensor operator +(Tensor left, int right) => Call(Ops.add_Scalar, left, right);
        public static Tensor operator +(Tensor left, long right) => Call(Ops.add_Scalar, left, right);
        public static Tensor operator +(Tensor left, float right) => Call(Ops.add_Scalar, left, (double)right);
        public static Tensor operator +(Tensor left, double right) => Call(Ops.add_Scalar, left, right);
        public static Tensor operator +(Scalar left, Tensor right) => Call(Ops.add_Scalar, right, left);
        public static Tensor operator +(int left, Tensor right) => Call(Ops.add_Scalar, right, left);
        public static Tensor operator +(long left, Tensor right) => Call(Ops.add_Scalar, right, left);
        public static Tensor operator +(float left, Tensor right) => Call(Ops.add_Scalar, right, (double)left);
        public static Tensor operator +(double left, Tensor right) => Call(Ops.add_Scalar, right, left);
        public static Tensor operator -(Tensor left, Tensor right) => Call(Ops.sub_Tensor, left, right);
        public static Tensor operator -(Tensor left, Scalar right) => Call(Ops.sub_Scalar, left, right);
        public static Tensor operator -(Tensor left, int right) => Call(Ops.sub_Scalar, left, right);
        public static Tensor operator -(Tensor left, long right) => Call(Ops.sub_Scalar, left, right);
        public static Tensor operator -(Tensor left, float right) => Call(Ops.sub_Scalar, left, (double)right);
        public static Tensor operator -(Tensor left, double right) => Call(Ops.sub_Scalar, left, right);
        public static Tensor operator -(Scalar left, Tensor right) => Call(Ops.rsub_Scalar, right, left);
        public static Tensor operator -(int left, Tensor right) => Call(Ops.rsub_Scalar, right, left);
        public static Tensor operator -(long left, Tensor right) => Call(Ops.rsub_Scalar, right, left);
        public static Tensor operator -(float left, Tensor right) => Call(Ops.rsub_Scalar, right, (double)left);
        public static Tensor operator -(double left, Tensor right) => Call(Ops.rsub_Scalar, right, left);
        public static Tensor operator *(Tensor left, Tensor right) => Call(Ops.mul_Tensor, left, right);
        public static Tensor operator *(Tensor left, Scalar right) => Call(Ops.mul_Scalar, left, right);
        public static Tensor operator *(Tensor left, int right) => Call(Ops.mul_Scalar, left, right);
        public static Tensor operator *(Tensor left, long right) => Call(Ops.mul_Scalar, left, right);
        public static Tensor operator *(Tensor left, float right) => Call(Ops.mul_Scalar, left, (double)right);
        public static Tensor operator *(Tensor left, double right) => Call(Ops.mul_Scalar, left, right);
        public static Tensor operator *(Scalar left, Tensor right) => Call(Ops.mul_Scalar, right, left);
        public static Tensor operator *(int left, Tensor right) => Call(Ops.mul_Scalar, right, left);
        public static Tensor operator *(long left, Tensor right) => Call(Ops.mul_Scalar, right, left);
        public static Tensor operator *(float left, Tensor right) => Call(Ops.mul_Scalar, right, (double)left);
        public static Tensor operator *(double left, Tensor right) => Call(Ops.mul_Scalar, right, left);
        public static Tensor operator /(Tensor left, Tensor right) => Call(Ops.div_Tensor, left, right);
        public static Tensor operator /(Tensor left, Scalar right) => Call(Ops.div_Scalar, left, right);
        public static Tensor operator /(Tensor left, int right) => Call(Ops.div_Scalar, left, right);
        public static Tensor operator /(Tensor left, long right) => Call(Ops.div_Scalar, left, right);
        public static Tensor operator /(Tensor left, float right) => Call(Ops.div_Scalar, left, (double)right);
        public static Tensor operator /(Tensor left, double right) => Call(Ops.div_Scalar, left, right);
        public static Tensor operator /(Scalar left, Tensor right) => Divide(left, right);
        public static Tensor operator /(int left, Tensor right) => Divide(left, right);
        public static Tensor operator /(long left, Tensor right) => Divide(left, right);
        public static Tensor operator /(float left, Tensor right) => Divide(left, right);
        public static Tensor operator /(double left, Tensor right) => Divide(left, right);
        public static Tensor operator %(Tensor left, Tensor right) => Call(Ops.remainder_Tensor, left, right);
        public static Tensor operator %(Tensor left, Scalar right) => Call(Ops.remainder_Scalar, left, right);
        public static Tensor operator %(Tensor left, int right) => Call(Ops.remainder_Scalar, left, right);
        public static Tensor operator %(Tensor left, long right) => Call(Ops.remainder_Scalar, left, right);
        public static Tensor operator %(Tensor left, float right) => Call(Ops.remainder_Scalar, left, (double)right);
        public static Tensor operator %(Tensor left, double right) => Call(Ops.remainder_Scalar, left, right);
        public static Tensor operator ==(Tensor left, Tensor right) => Call(Ops.eq_Tensor, left, right);
        public static Tensor operator ==(Tensor left, Scalar right) => Call(Ops.eq_Scalar, left, right);
        public static Tensor operator ==(Scalar left, Tensor right) => Call(Ops.eq_Scalar, right, left);
        public static Tensor operator !=(Tensor left, Tensor right) => Call(Ops.ne_Tensor, left, right);
        public static Tensor operator !=(Tensor left, Scalar right) => Call(Ops.ne_Scalar, left, right);
        public static Tensor operator !=(Scalar left, Tensor right) => Call(Ops.ne_Scalar, right, left);
        public static Tensor operator <(Tensor left, Tensor right) => Call(Ops.lt_Tensor, left, right);
        public static Tensor operator <(Tensor left, Scalar right) => Call(Ops.lt_Scalar, left, right);
        public static Tensor operator <(Scalar left, Tensor right) => Call(Ops.gt_Scalar, right, left);
        public static Tensor operator <=(Tensor left, Tensor right) => Call(Ops.le_Tensor, left, right);
        public static Tensor operator <=(Tensor left, Scalar right) => Call(Ops.le_Scalar, left, right);
        public static Tensor operator <=(Scalar left, Tensor right) => Call(Ops.ge_Scalar, right, left);
        public static Tensor operator >(Tensor left, Tensor right) => Call(Ops.gt_Tensor, left, right);
        public static Tensor operator >(Tensor left, Scalar right) => Call(Ops.gt_Scalar, left, right);
        public static Tensor operator >(Scalar left, Tensor right) => Call(Ops.lt_Scalar, right, left);
        public static Tensor operator >=(Tensor left, Tensor right) => Call(Ops.ge_Tensor, left, right);
        public static Tensor operator >=(Tensor left, Scalar right) => Call(Ops.ge_Scalar, left, right);
        public static Tensor operator >=(Scalar left, Tensor right) => Call(Ops.le_Scalar, right, left);
        public static Tensor operator -(Tensor tensor) => Call(Ops.neg, tensor);
        public static Tensor operator ~(Tensor left) => Call(Ops.bitwise_not, left);
        public static Tensor operator &(Tensor left, Tensor right) => Call(Ops.bitwise_and_Tensor, left, right);
        public static Tensor operator |(Tensor left, Tensor right) => Call(Ops.bitwise_or_Tensor, left, right);
        public static Tensor operator ^(Tensor left, Tensor right) => Call(Ops.bitwise_xor_Tensor, left, right);

        // A 0-dimensional tensor of the number's kind promotes as the number itself does.
        private static Tensor Divide(Scalar left, Tensor right)
        {
            using Tensor number = left;
            return Call(Ops.div_Tensor, number, right);
        }
    }
}
